// The GPU kernels that a request names, as text, or as a table.

#include "tools/kernelgen/Request.h"

#include "codegen/nvptx/KernelInfo.h"
#include "codegen/nvptx/Kernels.h"
#include "codegen/nvptx/Lowering.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace flashcp::codegen;
using namespace flashcp::codegen::nvptx;

namespace flashcp::kernelgen {

// The value of --dim for the kernels that move memory, which no dim concerns.
static constexpr llvm::StringLiteral memoryKernels = "none";

std::string gpuTargetNames() {
  return llvm::join(llvm::map_range(gpuTargets(),
                                    [](const GpuTarget &target) {
                                      return target.name.str();
                                    }),
                    ", ");
}

static const GpuTarget *findTarget(llvm::StringRef name) {
  const GpuTarget *target =
      llvm::find_if(gpuTargets(), [&](const GpuTarget &candidate) {
        return candidate.name == name;
      });
  return target == gpuTargets().end() ? nullptr : target;
}

bool isGpuTarget(llvm::StringRef name) { return findTarget(name) != nullptr; }

// Returns the dims of a target's kernels, of either pass, and `none`.
static std::string dimNames(const GpuTarget &target) {
  std::vector<std::string> names;
  for (const auto &shapes : {forwardShapes(target), backwardShapes(target)})
    for (const AttentionShape &shape : shapes)
      if (!llvm::is_contained(names, dimsText(shape.dims)))
        names.push_back(dimsText(shape.dims));
  names.push_back(memoryKernels.str());
  return llvm::join(names, ", ");
}

static std::vector<AttentionShape> chosen(std::vector<AttentionShape> shapes,
                                          const Request &request) {
  llvm::erase_if(shapes, [&](const AttentionShape &shape) {
    return (request.dims != "all" && request.dims != dimsText(shape.dims)) ||
           (request.element != "all" &&
            request.element != elementName(shape.element));
  });
  return shapes;
}

static Emission emissionOf(Output output) {
  switch (output) {
  case Output::mlir:
    return Emission::mlir;
  case Output::llvm:
    return Emission::llvm;
  default:
    return Emission::assembly;
  }
}

// Returns the exit code of flags that no GPU takes, 0 for others.
static int check(const Request &request) {
  if (request.output == Output::assembly || request.output == Output::object)
    return fail("--target " + request.target +
                ": expected --emit mlir, llvm, ptx or table");
  if (request.element != "all" && request.element != "bf16" &&
      request.element != "f16")
    return fail("--dtype: expected bf16 or f16, found '" + request.element +
                "'");
  if (request.emulated)
    return fail("--emulated is for CPU targets");
  return 0;
}

// Writes one line of a table.
static void writeLine(const KernelInfo &info, llvm::StringRef file,
                      llvm::raw_ostream &output) {
  output << "FLASHCP_KERNEL(" << info.symbol << ", " << file << ", "
         << info.threads << ", " << info.sharedBytes << ", " << info.blockRows
         << ", " << info.keyBlock << ", " << info.registers << ")\n";
}

// Writes a line for each kernel: its symbol, the file that the build puts it
// into, and its KernelInfo, of the module of kernels that move memory.
static void writeTable(mlir::ModuleOp memory, llvm::StringRef target,
                       llvm::raw_ostream &output) {
  for (auto kernel : memory.getOps<mlir::LLVM::LLVMFuncOp>()) {
    auto threads = kernel->getAttrOfType<mlir::DenseI32ArrayAttr>(
        mlir::NVVM::NVVMDialect::getReqntidAttrName());
    writeLine({kernel.getSymName().str(), threads[0], kMemorySharedBytes, 0, 0,
               kMemoryRegisters},
              (target + "_memory").str(), output);
  }
}

int writeGpuKernels(const Request &request, llvm::raw_ostream &output) {
  if (int code = check(request))
    return code;
  const GpuTarget &target = *findTarget(request.target);
  auto forward = chosen(forwardShapes(target), request);
  auto backward = chosen(backwardShapes(target), request);
  bool memory = request.dims == "all" || request.dims == memoryKernels;
  if (forward.empty() && backward.empty() && !memory)
    return fail("no kernel for --target " + request.target + " --dim " +
                request.dims + "; dims are " + dimNames(target) +
                " (kernels that move memory)");
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  loadDialects(context);
  if (request.output == Output::table) {
    auto module = buildKernels(context, {}, {}, memory);
    writeTable(*module, target.name, output);
    for (const AttentionShape &shape : forward)
      writeLine(forwardInfo(shape), shape.name(), output);
    for (const AttentionShape &shape : backward)
      writeLine(backwardInfo(shape), shape.name(), output);
    return 0;
  }
  mlir::OwningOpRef<mlir::ModuleOp> module =
      buildKernels(context, forward, backward, memory);
  llvm::SmallVector<char> bytes;
  llvm::raw_svector_ostream stream(bytes);
  if (mlir::failed(
          emitKernels(*module, target, emissionOf(request.output), stream)))
    return 1;
  output << llvm::StringRef(bytes.data(), bytes.size());
  return 0;
}

} // namespace flashcp::kernelgen
