// What a trainer that embeds the runtime calls, so that the linker takes it all in.

#include "runtime/cpu/cpu_device.h"
#include "runtime/executor.h"
#include "runtime/layout.h"
#include "runtime/mpi/mpi_transport.h"
#include "runtime/threads/run_threads.h"

namespace flashcp {

struct EntryPoints {
  decltype(&Executor::Create) create_executor = Executor::Create;
  decltype(&CreateCpuDevice) create_device = CreateCpuDevice;
  decltype(&RunThreads) run_threads = RunThreads;
  decltype(&MakeMpiTransport) make_mpi_transport = MakeMpiTransport;
  decltype(&ScatterRows) scatter_rows = ScatterRows;
};

extern const EntryPoints entry_points;
const EntryPoints entry_points;

}  // namespace flashcp
