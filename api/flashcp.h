// FlashCP from C: plans, groups of ranks, exact context-parallel attention. The interface below
// Python and every other language; flashcp.hpp is the same for C++.
//
// Handles are opaque. Each is made by a function of its type and ended by its _destroy, which takes
// null. A function that can fail returns a status; the text of the calling thread's last failure is
// flashcp_last_error(). A null pointer where a value is expected, a rank that there is not and a
// size that does not fit are INVALID_ARGUMENT; lack of memory is RESOURCE_EXHAUSTED. No exception
// leaves a function. What a function makes (its last argument) is null or 0 after an error.
// Pointers that a function hands out belong to the handle that they come from and live as long as
// it, unless the function says otherwise.
//
// Two libraries implement it. libflashcp.so holds all but what is marked [compiler], which is in
// libflashcp_compiler.so: who only runs plans does not load it. Functions and structs are added,
// and none changes, while the major version stays: see flashcp_version.

#ifndef FLASHCP_H_
#define FLASHCP_H_

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define FLASHCP_API __attribute__((visibility("default")))
#else
#define FLASHCP_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define FLASHCP_VERSION_MAJOR 0
#define FLASHCP_VERSION_MINOR 1
#define FLASHCP_VERSION_PATCH 0
#define FLASHCP_VERSION \
  (10000 * FLASHCP_VERSION_MAJOR + 100 * FLASHCP_VERSION_MINOR + FLASHCP_VERSION_PATCH)

// Returns FLASHCP_VERSION of the library that is loaded.
FLASHCP_API uint32_t flashcp_version(void);

// Status codes; numbers are those of absl::StatusCode.
typedef enum flashcp_status {
  FLASHCP_OK = 0,
  FLASHCP_CANCELLED = 1,
  FLASHCP_UNKNOWN = 2,
  FLASHCP_INVALID_ARGUMENT = 3,
  FLASHCP_DEADLINE_EXCEEDED = 4,
  FLASHCP_NOT_FOUND = 5,
  FLASHCP_RESOURCE_EXHAUSTED = 8,
  FLASHCP_FAILED_PRECONDITION = 9,
  FLASHCP_ABORTED = 10,
  FLASHCP_UNIMPLEMENTED = 12,
  FLASHCP_INTERNAL = 13,
  FLASHCP_UNAVAILABLE = 14
} flashcp_status;

// Returns the name of a status, such as "INVALID_ARGUMENT"; "UNKNOWN" for another number.
FLASHCP_API const char* flashcp_status_name(flashcp_status status);

// Returns the text of the last failure of a call by this thread, "" before one. Valid until the
// next call by this thread that fails.
FLASHCP_API const char* flashcp_last_error(void);

// ---- Plans ------------------------------------------------------------------------------------

// An immutable plan that has passed the verifier. Safe to read from many threads.
typedef struct flashcp_plan flashcp_plan;

// Reads a plan from the bytes of a file, which are copied, or from a file. Untrusted input:
// INVALID_ARGUMENT for bytes that are no plan of this version, FAILED_PRECONDITION for one that
// breaks a rule, with the rule.
FLASHCP_API flashcp_status flashcp_plan_from_bytes(const void* bytes, size_t size,
                                                   flashcp_plan** plan);
FLASHCP_API flashcp_status flashcp_plan_load(const char* path, flashcp_plan** plan);
FLASHCP_API flashcp_status flashcp_plan_save(const flashcp_plan* plan, const char* path);
FLASHCP_API void flashcp_plan_destroy(flashcp_plan* plan);

// Returns the bytes of the plan's file; null, of size 0, for a null plan. `size` may be null.
FLASHCP_API const void* flashcp_plan_bytes(const flashcp_plan* plan, size_t* size);

typedef enum flashcp_dtype { FLASHCP_F32 = 0, FLASHCP_BF16 = 1, FLASHCP_F16 = 2 } flashcp_dtype;

// Facts of the whole plan.
typedef struct flashcp_plan_info {
  uint64_t hash;   // of the content; equal on all ranks
  int64_t tokens;  // of all documents
  int64_t documents;
  int32_t ranks;
  int32_t query_heads;
  int32_t key_value_heads;
  int32_t head_dim;
  int32_t head_groups;  // rounds of a pass
  flashcp_dtype dtype;  // of Q, K, V, O and their gradients; LSE is f32
  float scale;          // of the scores before softmax
  double forward_us;    // modelled step of the slowest rank, never measured
  double backward_us;
  double bound_us;  // modelled lower bound of forward + backward
} flashcp_plan_info;
FLASHCP_API flashcp_status flashcp_plan_get_info(const flashcp_plan* plan, flashcp_plan_info* info);

// Facts of one rank. INVALID_ARGUMENT for a rank that the plan does not have, here and below.
typedef struct flashcp_rank_info {
  int64_t tokens;                     // rows of the rank's tensors
  uint64_t workspace_bytes;           // that an executor allocates for forward
  uint64_t backward_workspace_bytes;  // and for backward; an executor takes the larger one
  uint64_t saved_bytes;               // that the caller keeps from forward to backward
} flashcp_rank_info;
FLASHCP_API flashcp_status flashcp_plan_get_rank_info(const flashcp_plan* plan, int rank,
                                                      flashcp_rank_info* info);

// Token layout of one rank: for each of its rows, in order, the global token (documents one after
// the other), the position in its document, the document. Each writes `count` values, which must be
// the rank's tokens.
FLASHCP_API flashcp_status flashcp_plan_token_indices(const flashcp_plan* plan, int rank,
                                                      int64_t* values, size_t count);
FLASHCP_API flashcp_status flashcp_plan_position_ids(const flashcp_plan* plan, int rank,
                                                     int64_t* values, size_t count);
FLASHCP_API flashcp_status flashcp_plan_document_ids(const flashcp_plan* plan, int rank,
                                                     int64_t* values, size_t count);

// Copies the rank's rows out of a tensor in global token order, and back into one. `row_bytes` is
// the size of one token's row; INVALID_ARGUMENT unless the sizes are tokens * row_bytes.
FLASHCP_API flashcp_status flashcp_plan_scatter(const flashcp_plan* plan, int rank,
                                                size_t row_bytes, const void* global,
                                                size_t global_bytes, void* local,
                                                size_t local_bytes);
FLASHCP_API flashcp_status flashcp_plan_gather(const flashcp_plan* plan, int rank, size_t row_bytes,
                                               const void* local, size_t local_bytes, void* global,
                                               size_t global_bytes);

// A table of the plan as it lies in the file: `count` rows of `row_bytes`. Names are those of
// plan.fbs: "documents"; of a rank "layout", "buffers", "instructions", "waits", "tiles",
// "messages", "parts", "slices", "backward_instructions", "backward_waits". NOT_FOUND for another
// name. Rows are the structs of flashcp_tables.h, little-endian. `rank` is not read for
// "documents".
FLASHCP_API flashcp_status flashcp_plan_table(const flashcp_plan* plan, int rank, const char* name,
                                              const void** rows, size_t* count, size_t* row_bytes);

// Writes the plan as `flashcp inspect --json` prints it. The text lives until flashcp_text_destroy.
FLASHCP_API flashcp_status flashcp_plan_inspect(const flashcp_plan* plan, char** json);
FLASHCP_API void flashcp_text_destroy(char* text);

// ---- Compiling [compiler] ---------------------------------------------------------------------

// A document of a batch, in the order of the pack.
typedef struct flashcp_document {
  int64_t length;    // tokens; may be 0
  const char* mask;  // "causal", "full", "window:W", "band:L:U"; null: that of the option "mask"
} flashcp_document;

// An option of `flashcp compile` by its name without dashes, such as "ranks", "heads", "head-dim",
// "dtype", "cluster", "strategy", "workspace-limit", with the text that the command line takes.
typedef struct flashcp_option {
  const char* name;
  const char* value;
} flashcp_option;

// A batch to be planned. `layout`, if not null, is a plan of the same lengths and ranks whose
// placement of tokens the new plan takes over, so that several masks run on the same rows: then
// "ranks" and "slack" are those of the layout, "strategy" is none, and null `documents` stand for
// the lengths of the layout under the option "mask". Heads, dtype and all else may differ.
typedef struct flashcp_request {
  const flashcp_document* documents;
  size_t num_documents;
  const flashcp_option* options;
  size_t num_options;
  const flashcp_plan* layout;
} flashcp_request;

// Makes the plan of a request: the same bytes on every machine. INVALID_ARGUMENT names the option
// or document, what was found and what is allowed; NOT_FOUND: the cluster is no preset and no file.
// Thread-safe; calls of one process run side by side, and after fork() each process may make its
// own.
FLASHCP_API flashcp_status flashcp_compile(const flashcp_request* request, flashcp_plan** plan);

// Plans batches ahead, on threads of its own. Thread-safe. Do not carry one across fork().
typedef struct flashcp_planner flashcp_planner;
FLASHCP_API flashcp_status flashcp_planner_create(int threads, flashcp_planner** planner);
// Copies the request and returns at once; `ticket` is for flashcp_planner_take.
FLASHCP_API flashcp_status flashcp_planner_submit(flashcp_planner* planner,
                                                  const flashcp_request* request, uint64_t* ticket);
// Waits for a plan, which then belongs to the caller; a ticket is taken once. The error is that of
// compiling. DEADLINE_EXCEEDED after `timeout_s` seconds (negative: none): the ticket stays valid.
FLASHCP_API flashcp_status flashcp_planner_take(flashcp_planner* planner, uint64_t ticket,
                                                double timeout_s, flashcp_plan** plan);
// Ends the planner, once the plans that its threads are at are done; what has not been taken is
// dropped, calls of take under way return CANCELLED. No call begins afterwards. Before the process
// ends: its threads use what the end of a process takes away.
FLASHCP_API void flashcp_planner_destroy(flashcp_planner* planner);

// ---- Groups of ranks --------------------------------------------------------------------------

// The ranks that run a plan together, as seen from this process. Each rank is used by one thread at
// a time: a call of another meanwhile is refused with FAILED_PRECONDITION.
typedef struct flashcp_group flashcp_group;

// Options of a group; zeros are the defaults. `struct_size` is sizeof(flashcp_group_options).
typedef struct flashcp_group_options {
  size_t struct_size;
  int compute_threads;  // of each rank; 0: 1. Results do not depend on it
  const char* kernels;  // null: "generated"; see CpuDeviceOptions::kernels
  double timeout_s;     // of a wait in which the awaited ranks do nothing; 0: 60; negative: none
} flashcp_group_options;

// Makes a group whose ranks are threads of this process, all of them; at most 4096.
FLASHCP_API flashcp_status flashcp_group_threads(int ranks, const flashcp_group_options* options,
                                                 flashcp_group** group);
// Makes a group whose ranks are processes that MPI joins; this process is one of them.
// `communicator` is a Fortran handle (MPI_Comm_c2f), or null for MPI_COMM_WORLD. Collective. If MPI
// is not initialised, it is now (MPI_THREAD_SERIALIZED) and is finalised when the process exits,
// unless a group has failed. UNIMPLEMENTED, with what to install, if MPI cannot be loaded.
FLASHCP_API flashcp_status flashcp_group_mpi(const int* communicator,
                                             const flashcp_group_options* options,
                                             flashcp_group** group);
// Returns the number of ranks; 0 for null.
FLASHCP_API int flashcp_group_size(const flashcp_group* group);
// Returns the rank of this process; -1 if the group has all of its ranks in this process.
FLASHCP_API int flashcp_group_rank(const flashcp_group* group);
// Ends the group in the name of `rank`, from any thread: ranks fail with ABORTED, the rank and
// `reason` as soon as they wait. Over MPI the rank is that of this process, and another thread than
// that of the rank may call it if MPI was initialised with MPI_THREAD_SERIALIZED or more.
FLASHCP_API flashcp_status flashcp_group_abort(flashcp_group* group, int rank, const char* reason);
// Copies the rows of all ranks to each of them: `all` gets rank_bytes[0] bytes of rank 0, then
// rank_bytes[1] of rank 1, and so on; `local` are those of `rank`, on the host like `all`.
// Collective like a pass, on the thread that runs the rank, with errors as below that end the
// group; INVALID_ARGUMENT if ranks were given different sizes.
FLASHCP_API flashcp_status flashcp_group_all_gather(flashcp_group* group, int rank,
                                                    const void* local, const uint64_t* rank_bytes,
                                                    void* all);
// Ends the handle; executors keep alive what they use of the group. Over MPI all processes destroy
// the group before MPI_Finalize.
FLASHCP_API void flashcp_group_destroy(flashcp_group* group);

// ---- Attention --------------------------------------------------------------------------------

// Runs one rank of a plan. One executor serves all layers that share the plan.
typedef struct flashcp_executor flashcp_executor;

// Collective over the ranks of the group: each calls it once, in the same order for all executors,
// on the thread that runs the rank. `backward` 0: forward alone, with less workspace. The plan may
// be destroyed before the executor. Besides null arguments and a rank that is not of this process,
// every error ends the group:
//   INVALID_ARGUMENT     the plan is for another number of ranks, or the kernels do not run here
//   NOT_FOUND            there are no kernels for the plan
//   FAILED_PRECONDITION  ranks have different plans
//   RESOURCE_EXHAUSTED   no memory for the workspace, or no threads
//   ABORTED              another rank failed; DEADLINE_EXCEEDED: another rank did not come
FLASHCP_API flashcp_status flashcp_executor_create(const flashcp_plan* plan, flashcp_group* group,
                                                   int rank, int backward,
                                                   flashcp_executor** executor);
FLASHCP_API void flashcp_executor_destroy(flashcp_executor* executor);

// Memory of the caller: dense, row-major, rows in the order of the plan's layout for the rank;
// aligned as malloc aligns.
typedef struct flashcp_tensor {
  void* data;      // on the host; null only if bytes is 0
  uint64_t bytes;  // checked against the plan
} flashcp_tensor;

// Tensors of a pass; T tokens of the rank, H query heads, G key/value heads, D elements of a head.
// They must not overlap. Gradients are only read and written by backward.
typedef struct flashcp_tensors {
  flashcp_tensor query;            // [T, H, D] of the plan's dtype
  flashcp_tensor key;              // [T, G, D]
  flashcp_tensor value;            // [T, G, D]
  flashcp_tensor output;           // [T, H, D]; written by forward, read by backward
  flashcp_tensor lse;              // [T, H] f32, natural log; written by forward, read by backward
  flashcp_tensor saved;            // saved_bytes of the rank; written by forward, read by backward
  flashcp_tensor output_gradient;  // [T, H, D]
  flashcp_tensor query_gradient;   // [T, H, D]; written by backward, like the next two
  flashcp_tensor key_gradient;     // [T, G, D]
  flashcp_tensor value_gradient;   // [T, G, D]
} flashcp_tensors;

// Exact attention and its gradients; all ranks make the same passes in the same order. An executor
// is used by one thread at a time. `stream` is the caller's on a device with streams, null on the
// CPU, where the pass is done when the call returns. INVALID_ARGUMENT names the tensor, with the
// bytes expected and found. FAILED_PRECONDITION: backward of an executor made without. Every error
// but that of a null argument or of a second thread ends the group; ABORTED and DEADLINE_EXCEEDED
// as above. Queries that see no key give output 0 and LSE -inf.
FLASHCP_API flashcp_status flashcp_forward(flashcp_executor* executor,
                                           const flashcp_tensors* tensors, void* stream);
FLASHCP_API flashcp_status flashcp_backward(flashcp_executor* executor,
                                            const flashcp_tensors* tensors, void* stream);
// Waits for passes that were enqueued on a stream, at most `timeout_s` seconds (negative: no
// limit).
FLASHCP_API flashcp_status flashcp_synchronize(flashcp_executor* executor, double timeout_s);

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // FLASHCP_H_
