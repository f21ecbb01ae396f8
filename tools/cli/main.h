// The program without its main(): parses the command line, runs the command, and is the one place
// that prints an error and chooses the exit code.

#ifndef FLASHCP_TOOLS_CLI_MAIN_H_
#define FLASHCP_TOOLS_CLI_MAIN_H_

namespace flashcp::cli {

// Returns the exit code. 0: done. 1: the check or the work failed. 2: bad usage or bad input.
int Main(int argc, const char* const* argv);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_MAIN_H_
