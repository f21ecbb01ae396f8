// Elements are rounded to the plan's dtype on the way in, and bf16 becomes float32 on the way out.

#include "tools/cli/tensor_files.h"

#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/kernel_spec.h"
#include "runtime/layout.h"
#include "support/status_macros.h"
#include "tools/cli/npy.h"

namespace flashcp::cli {
namespace {

// Reads one input file; its elements are rounded to the plan's type.
absl::StatusOr<std::string> ReadTensor(const Plan& plan, const std::string& path, int64_t heads) {
  model::DType type = KernelSpecOf(plan).element;
  std::vector<NpyType> types = {NpyType::kFloat32};
  if (type == model::DType::kF16) types.push_back(NpyType::kFloat16);
  ASSIGN_OR_RETURN(NpyArray array,
                   ReadNpy(path, {TotalTokens(plan), heads, plan->heads()->dim()}, types));
  if (array.type == NpyType::kFloat16 || type == model::DType::kF32) {
    return std::move(array.elements);
  }
  return session::ElementsOf(type, session::FloatsOf(model::DType::kF32, array.elements));
}

// Writes one tensor of the plan's type, bf16 as float32.
absl::Status WriteElements(const KernelSpec& spec, int64_t tokens, int heads,
                           const std::string& elements, OutputFile* file) {
  bool is_f16 = spec.element == model::DType::kF16;
  RETURN_IF_ERROR(file->Write(
      MakeNpyHeader(is_f16 ? NpyType::kFloat16 : NpyType::kFloat32, {tokens, heads, spec.dim})));
  if (spec.element != model::DType::kBF16) return file->Write(elements);
  std::vector<float> floats = session::FloatsOf(spec.element, elements);
  return file->Write({reinterpret_cast<const char*>(floats.data()), floats.size() * sizeof(float)});
}

}  // namespace

absl::StatusOr<session::BatchTensors> ReadTensors(const Plan& plan, const std::string& folder,
                                                  bool backward) {
  KernelSpec spec = KernelSpecOf(plan);
  session::BatchTensors tensors;
  ASSIGN_OR_RETURN(tensors.query, ReadTensor(plan, folder + "/q.npy", spec.query_heads));
  ASSIGN_OR_RETURN(tensors.key, ReadTensor(plan, folder + "/k.npy", spec.key_value_heads));
  ASSIGN_OR_RETURN(tensors.value, ReadTensor(plan, folder + "/v.npy", spec.key_value_heads));
  if (backward) {
    absl::StatusOr<std::string> gradient = ReadTensor(plan, folder + "/do.npy", spec.query_heads);
    if (absl::IsNotFound(gradient.status())) {
      return absl::NotFoundError(absl::StrCat(gradient.status().message(), " (for --backward)"));
    }
    ASSIGN_OR_RETURN(tensors.output_gradient, std::move(gradient));
  }
  session::AddResults(plan, backward, &tensors);
  return tensors;
}

TensorWriter::TensorWriter(std::vector<OutputFile> files) : files_(std::move(files)) {}

absl::StatusOr<TensorWriter> TensorWriter::Create(const std::string& folder, bool backward) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat(folder, ": cannot be made a folder: ", error.message()));
  }
  std::vector<const char*> names = {"/o.npy", "/lse.npy"};
  if (backward) names.insert(names.end(), {"/dq.npy", "/dk.npy", "/dv.npy"});
  std::vector<OutputFile> files;
  for (const char* name : names) {
    ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(folder + name));
    files.push_back(std::move(file));
  }
  return TensorWriter(std::move(files));
}

absl::Status TensorWriter::Write(const Plan& plan, const session::BatchTensors& tensors) {
  KernelSpec spec = KernelSpecOf(plan);
  int64_t tokens = TotalTokens(plan);
  RETURN_IF_ERROR(WriteElements(spec, tokens, spec.query_heads, tensors.output, &files_[0]));
  RETURN_IF_ERROR(files_[1].Write(MakeNpyHeader(NpyType::kFloat32, {tokens, spec.query_heads})));
  RETURN_IF_ERROR(files_[1].Write(tensors.lse));
  if (files_.size() > 2) {
    RETURN_IF_ERROR(
        WriteElements(spec, tokens, spec.query_heads, tensors.query_gradient, &files_[2]));
    RETURN_IF_ERROR(
        WriteElements(spec, tokens, spec.key_value_heads, tensors.key_gradient, &files_[3]));
    RETURN_IF_ERROR(
        WriteElements(spec, tokens, spec.key_value_heads, tensors.value_gradient, &files_[4]));
  }
  for (OutputFile& file : files_) RETURN_IF_ERROR(file.Commit());
  return absl::OkStatus();
}

}  // namespace flashcp::cli
