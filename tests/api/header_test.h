/* The headers as a program of C99, and of C++, sees them: includes twice, and a use of each kind of
   declaration. */
#include "flashcp.h"
#include "flashcp_tables.h"

static int use_of_headers(void) {
  flashcp_plan* plan = NULL;
  flashcp_rank_info info = {0, 0, 0, 0};
  flashcp_group_options options = {sizeof(flashcp_group_options), 0, NULL, 0.0};
  const flashcp_option option = {"ranks", "2"};
  const flashcp_document document = {16, NULL};
  const flashcp_request request = {&document, 1, &option, 1, NULL};
  const flashcp_tile* tiles = NULL;
  const size_t bytes = sizeof(flashcp_instruction) + sizeof(options) + sizeof(request);
  if (flashcp_version() != FLASHCP_VERSION) return 1;
  if (flashcp_plan_get_rank_info(plan, 0, &info) != FLASHCP_INVALID_ARGUMENT) return 2;
  return tiles == NULL && bytes > 0 ? 0 : 3;
}
