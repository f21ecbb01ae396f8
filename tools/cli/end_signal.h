// The signal with which mpirun ends all processes if one has died: SIGTERM, and a second later a
// kill.
//
// The handler turns it into an error of the wait that the rank is in, which says where it was; if
// the rank computes and does not come to a wait, the handler of an alarm says so.

#ifndef FLASHCP_TOOLS_CLI_END_SIGNAL_H_
#define FLASHCP_TOOLS_CLI_END_SIGNAL_H_

#include <atomic>

namespace flashcp::cli {

// Return what the handlers share with the transport: MpiOptions::stop and in_call_for.
const std::atomic<bool>* ToldToEnd();
std::atomic<int>* InCallFor();

// Handles the signal from now on, as rank `rank` of `size`.
void HandleEndSignal(int rank, int size);

// Ignores the signal from now on: this process ends by itself, and has yet to say how.
void IgnoreEndSignal();

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_END_SIGNAL_H_
