// What a block of queries takes more if its keys come in several tiles, one launch after another:
// the start of a tile, and the merge into the results so far.

#ifndef FLASHCP_SESSION_FURTHER_TILE_H_
#define FLASHCP_SESSION_FURTHER_TILE_H_

#include "absl/status/statusor.h"
#include "session/calibration.h"

namespace flashcp::session {

// Returns the time that each further tile adds forward to a block of `block_rows` queries and one
// query head of dimension 128, microseconds; measured on all ranks at once. 0 if the measurement
// does not show it.
absl::StatusOr<double> FurtherTileUs(const CalibrationRequest& request, int block_rows);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_FURTHER_TILE_H_
