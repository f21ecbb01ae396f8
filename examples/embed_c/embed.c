/* Attention of a packed batch from C: a plan, its two ranks as threads, one forward pass. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flashcp.h"

enum { RANKS = 2 };

static flashcp_plan* plan;
static flashcp_group* group;

/* Ends the program with the text of the thread's last error, if a call failed. */
static void check(flashcp_status status) {
  if (status == FLASHCP_OK) return;
  fprintf(stderr, "%s: %s\n", flashcp_status_name(status), flashcp_last_error());
  exit(1);
}

/* Memory of zeros. */
static flashcp_tensor tensor(uint64_t bytes) {
  flashcp_tensor made = {calloc(bytes > 0 ? bytes : 1, 1), bytes};
  return made;
}

static void* run_rank(void* argument) {
  const int rank = *(const int*)argument;
  flashcp_plan_info info;
  flashcp_rank_info of_rank;
  check(flashcp_plan_get_info(plan, &info));
  check(flashcp_plan_get_rank_info(plan, rank, &of_rank));
  const uint64_t query_bytes = of_rank.tokens * info.query_heads * info.head_dim * sizeof(float);
  const uint64_t key_bytes = of_rank.tokens * info.key_value_heads * info.head_dim * sizeof(float);

  flashcp_tensors tensors;
  memset(&tensors, 0, sizeof(tensors)); /* gradients are for backward */
  tensors.query = tensor(query_bytes);
  tensors.key = tensor(key_bytes);
  tensors.value = tensor(key_bytes);
  tensors.output = tensor(query_bytes);
  tensors.lse = tensor(of_rank.tokens * info.query_heads * sizeof(float));
  tensors.saved = tensor(of_rank.saved_bytes);

  flashcp_executor* executor;
  check(flashcp_executor_create(plan, group, rank, /*backward=*/0, &executor));
  check(flashcp_forward(executor, &tensors, /*stream=*/NULL));
  /* With zeros, LSE is the log of the number of keys that a query sees. */
  printf("rank %d: %d tokens, LSE of the last %.3f\n", rank, (int)of_rank.tokens,
         ((const float*)tensors.lse.data)[(of_rank.tokens - 1) * info.query_heads]);

  flashcp_executor_destroy(executor);
  free(tensors.query.data), free(tensors.key.data), free(tensors.value.data);
  free(tensors.output.data), free(tensors.lse.data), free(tensors.saved.data);
  return NULL;
}

int main(void) {
  const flashcp_document documents[] = {{900, NULL}, {700, "window:128"}, {448, "full"}};
  const flashcp_option options[] = {
      {"ranks", "2"}, {"heads", "8:2"}, {"head-dim", "64"}, {"dtype", "f32"}, {"cluster", "cpu"}};
  const flashcp_request request = {documents, 3, options, 5, NULL};
  pthread_t threads[RANKS];
  int ranks[RANKS];
  check(flashcp_compile(&request, &plan));
  check(flashcp_group_threads(RANKS, NULL, &group));
  for (int rank = 0; rank < RANKS; ++rank) {
    ranks[rank] = rank;
    pthread_create(&threads[rank], NULL, run_rank, &ranks[rank]);
  }
  for (int rank = 0; rank < RANKS; ++rank) pthread_join(threads[rank], NULL);
  flashcp_group_destroy(group);
  flashcp_plan_destroy(plan);
  return 0;
}
