// The CPU's kernels that a request names, as text, an object or a table.

#include "tools/kernelgen/Request.h"

#include "codegen/x86/KernelTable.h"
#include "codegen/x86/Lowering.h"
#include "llvm/ADT/StringExtras.h"

using namespace flashcp::codegen;
using namespace flashcp::codegen::x86;

namespace flashcp::kernelgen {

static std::string dimsOf(const KernelShape &shape) {
  return shape.anyDim ? "any" : dimsText({shape.dim, shape.valueDim});
}

std::string x86TargetNames() {
  return llvm::join(llvm::map_range(kernelTargets(),
                                    [](const KernelTarget &target) {
                                      return target.name.str();
                                    }),
                    ", ");
}

std::string x86DimNames() {
  return llvm::join(
      llvm::map_range(kernelShapes(kernelTargets().front(), false), dimsOf),
      ", ");
}

// Returns whether --function can be the name of a C++ function.
static bool isIdentifier(llvm::StringRef name) {
  return !name.empty() && !llvm::isDigit(name.front()) &&
         llvm::all_of(name,
                      [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

static std::vector<KernelShape> chosenShapes(const Request &request) {
  std::vector<KernelShape> chosen;
  for (const KernelTarget &target : kernelTargets()) {
    if (request.target != "all" && target.name != request.target)
      continue;
    for (const KernelShape &shape : kernelShapes(target, request.emulated))
      if (request.dims == "all" || request.dims == dimsOf(shape))
        chosen.push_back(shape);
  }
  return chosen;
}

static Emission emissionOf(Output output) {
  switch (output) {
  case Output::mlir:
    return Emission::mlir;
  case Output::llvm:
    return Emission::llvm;
  case Output::object:
    return Emission::object;
  default:
    return Emission::assembly;
  }
}

// Returns the exit code of a request that cannot be met, 0 for others.
static int check(const Request &request, llvm::ArrayRef<KernelShape> shapes) {
  if (shapes.empty())
    return fail("no kernel for --target " + request.target + " --dim " +
                request.dims + "; targets are " + x86TargetNames() + ", dims " +
                x86DimNames() + ", which serves the other multiples of " +
                llvm::Twine(kDimStep) + " up to " + llvm::Twine(kMaxDim) +
                "; targets of GPUs are " + gpuTargetNames());
  if (request.element != "all")
    return fail("--dtype is for GPUs: kernels of a CPU target take every "
                "element type, found '" +
                request.element + "'");
  if (request.output == Output::ptx)
    return fail("--emit ptx is for --target " + gpuTargetNames() +
                "; CPU targets have asm");
  if (request.target == "all" && request.output != Output::table &&
      request.output != Output::mlir)
    return fail("code is for one target: choose --target " + x86TargetNames());
  if (!isIdentifier(request.function))
    return fail("--function: expected a C++ identifier, found '" +
                request.function + "'");
  return 0;
}

int writeX86Kernels(const Request &request, llvm::raw_ostream &output) {
  std::vector<KernelShape> shapes = chosenShapes(request);
  if (int code = check(request, shapes))
    return code;
  if (request.output == Output::table) {
    emitTable(shapes, request.function, output);
    return 0;
  }
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  loadDialects(context);
  mlir::OwningOpRef<mlir::ModuleOp> module = buildKernels(context, shapes);
  // Code generation seeks, which standard output cannot.
  llvm::SmallVector<char> bytes;
  llvm::raw_svector_ostream stream(bytes);
  if (mlir::failed(emitKernels(*module, shapes.front(),
                               emissionOf(request.output), stream)))
    return 1;
  output << llvm::StringRef(bytes.data(), bytes.size());
  return 0;
}

} // namespace flashcp::kernelgen
