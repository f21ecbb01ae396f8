// A calibration as text for people: measured times, their fit, and a warning if the fit is poor.

#ifndef FLASHCP_TOOLS_CLI_FIT_REPORT_H_
#define FLASHCP_TOOLS_CLI_FIT_REPORT_H_

#include <string>
#include <vector>

#include "session/calibration.h"

namespace flashcp::cli {

// Returns a warning that names the points whose fit is off by more than 15%; empty if there are
// none.
std::string FitWarning(const std::vector<session::CalibrationPoint>& points);

// Returns a line for each length, one for the link and, if there is one, the warning.
std::vector<std::string> CalibrationLines(const session::Calibration& calibration);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_FIT_REPORT_H_
