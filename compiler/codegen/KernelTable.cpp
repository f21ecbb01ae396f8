#include "compiler/codegen/KernelTable.h"

#include "compiler/codegen/Kernels.h"

namespace flashcp::codegen {

static void emitDescriptor(const KernelShape &shape,
                           llvm::raw_ostream &output) {
  const KernelTarget &target = *shape.target;
  output << "    {\"" << shape.name() << "\", \"" << target.name << "\", "
         << (shape.emulated ? "true" : "false") << ", "
         << (target.pairs ? "true" : "false") << ", "
         << (shape.anyDim ? "true" : "false") << ", " << shape.dim << ", "
         << shape.valueDim << ", " << target.panelRows() << ", " << target.lanes
         << ", " << target.group << ", " << target.keyBlock << ", "
         << target.gradientKeyBlock << ", " << target.gradientGroup << ", "
         << target.chunk() << ", &" << forwardSymbol(shape) << ", &"
         << backwardSymbol(shape) << "},\n";
}

void emitTable(llvm::ArrayRef<KernelShape> shapes, llvm::StringRef function,
               llvm::raw_ostream &output) {
  output << "// Written by flashcp-kernelgen.\n"
            "#include \"runtime/cpu/generated_kernels.h\"\n\n"
            "namespace flashcp {\n\n"
            "static_assert(kRunKeys == "
         << kRunKeys << " && kBlockRows == " << kBlockRows
         << " && kRangesPerPanel == " << kRangesPerPanel
         << " && kMaxLinesAhead == " << kMaxLinesAhead
         << ", \"the generator's sizes\");\n\n"
            "extern \"C\" {\n";
  for (const KernelShape &shape : shapes)
    output << "ForwardFunction " << forwardSymbol(shape) << ";\n"
           << "BackwardFunction " << backwardSymbol(shape) << ";\n";
  output << "}\n\n"
         << "absl::Span<const GeneratedKernel> " << function << "() {\n"
         << "  static constexpr GeneratedKernel kKernels[] = {\n";
  for (const KernelShape &shape : shapes)
    emitDescriptor(shape, output);
  output << "  };\n  return kKernels;\n}\n\n}  // namespace flashcp\n";
}

} // namespace flashcp::codegen
