// Writes go through a temporary file that is renamed once it is complete.

#include "support/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

// Reads to the end of a descriptor.
absl::StatusOr<std::string> ReadAll(int descriptor, const std::string& name, int64_t max_bytes) {
  std::string bytes;
  size_t size = 0;
  while (true) {
    if (size == bytes.size()) bytes.resize(std::max<size_t>(1 << 16, 2 * size));
    ssize_t count = read(descriptor, &bytes[size], bytes.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": cannot be read: ", std::strerror(errno)));
    }
    if (count == 0) break;
    size += count;
    if (static_cast<int64_t>(size) > max_bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": larger than the ", max_bytes, " bytes allowed"));
    }
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes) {
  if (path == "-") return ReadAll(STDIN_FILENO, "standard input", max_bytes);
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be opened: ", std::strerror(errno)));
  }
  auto bytes = ReadAll(descriptor, path, max_bytes);
  close(descriptor);
  return bytes;
}

OutputFile::OutputFile(std::string path, int descriptor)
    : path_(std::move(path)), descriptor_(descriptor) {}

OutputFile::OutputFile(OutputFile&& other)
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

OutputFile::~OutputFile() { Discard(); }

// Returns false, with errno, if there can be none.
bool OutputFile::OpenTemporary() {
  // Exclusive creation: never writes through a name that somebody else has put there.
  for (int attempt = 0; attempt < 100; ++attempt) {
    temporary_ = absl::StrCat(path_, ".tmp", getpid(), ".", attempt);
    descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0 || errno != EEXIST) break;
  }
  return descriptor_ >= 0;
}

void OutputFile::Discard() {
  const int descriptor = std::exchange(descriptor_, -1);
  if (descriptor < 0) return;
  if (descriptor != STDOUT_FILENO) close(descriptor);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

absl::Status OutputFile::Error(absl::string_view action) const {
  return absl::UnavailableError(absl::StrCat(path_ == "-" ? "standard output" : path_,
                                             ": cannot be ", action, ": ", std::strerror(errno)));
}

absl::StatusOr<OutputFile> OutputFile::Create(const std::string& path) {
  if (path == "-") return OutputFile(path, STDOUT_FILENO);
  OutputFile file(path, -1);
  struct stat existing;
  const bool direct = stat(path.c_str(), &existing) == 0 && !S_ISREG(existing.st_mode);
  if (direct) file.descriptor_ = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (direct ? file.descriptor_ < 0 : !file.OpenTemporary()) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be created: ", std::strerror(errno)));
  }
  if (!direct) file.Discard();
  return file;
}

absl::Status OutputFile::Write(absl::string_view bytes) {
  if (descriptor_ < 0 && !OpenTemporary()) return Error("created");
  while (!bytes.empty()) {
    ssize_t count = write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error("written");
    bytes.remove_prefix(count);
  }
  return absl::OkStatus();
}

absl::Status OutputFile::Commit() {
  RETURN_IF_ERROR(Write(""));  // there is a file even where nothing was written
  int descriptor = std::exchange(descriptor_, -1);
  bool closed = descriptor == STDOUT_FILENO || close(descriptor) == 0;
  if (closed && (temporary_.empty() || rename(temporary_.c_str(), path_.c_str()) == 0)) {
    return absl::OkStatus();
  }
  absl::Status error = Error("completed");
  if (!temporary_.empty()) unlink(temporary_.c_str());
  return error;
}

absl::Status WriteFile(const std::string& path, absl::string_view bytes) {
  ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(path));
  RETURN_IF_ERROR(file.Write(bytes));
  return file.Commit();
}

}  // namespace flashcp
