// ldmatrix, stmatrix and mma.sync as instructions of a warp: the arguments of a meeting, and the
// checks of their addresses, around the arithmetic of mma.h.

#ifndef FLASHCP_TESTS_EMULATOR_MATRIX_OPERATIONS_H_
#define FLASHCP_TESTS_EMULATOR_MATRIX_OPERATIONS_H_

#include "tests/emulator/engine.h"
#include "tests/emulator/mma.h"

namespace flashcp::emulator {

// Argument: the address of a row; lanes from 8 * `matrices` on give none. Results: the registers.
void LoadMatrix(int matrices, bool transposed, const Meeting& meeting);

// Arguments: the address of a row, the registers.
void StoreMatrix(int matrices, bool transposed, const Meeting& meeting);

// Arguments: registers of a, b and c. Results: those of d.
void MultiplyAccumulate(const MmaShape& shape, const Meeting& meeting);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_MATRIX_OPERATIONS_H_
