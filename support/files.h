// Whole files in and out: bounded reads, and outputs that appear complete or not at all.

#ifndef FLASHCP_SUPPORT_FILES_H_
#define FLASHCP_SUPPORT_FILES_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flashcp {

// Reads the bytes of a file; "-" is standard input. NotFound if it cannot be opened,
// InvalidArgument if it is a folder, cannot be read or holds more than `max_bytes`; errors start
// with the path.
absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes);

// A file that is written under a temporary name beside its own, which it gets in Commit(). Without
// a Commit the temporary file is removed; before the first Write there is none, so that a process
// that is killed during long work leaves nothing behind. If `path` names something that is not a
// regular file (a device, a pipe), bytes go there directly, and "-" is standard output. Used by one
// thread.
class OutputFile {
 public:
  // NotFound if the file cannot be created there: tried, and undone.
  static absl::StatusOr<OutputFile> Create(const std::string& path);
  OutputFile(OutputFile&& other);
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  // Unavailable, with the system's reason, if bytes cannot be written.
  absl::Status Write(absl::string_view bytes);
  absl::Status Commit();

 private:
  OutputFile(std::string path, int descriptor);
  bool OpenTemporary();
  void Discard();
  absl::Status Error(absl::string_view action) const;

  std::string path_;
  std::string temporary_;  // empty if bytes go to path_ directly
  int descriptor_;         // -1 while there is no temporary file, and once closed or moved from
};

// Creates, writes and commits one string.
absl::Status WriteFile(const std::string& path, absl::string_view bytes);

}  // namespace flashcp

#endif  // FLASHCP_SUPPORT_FILES_H_
