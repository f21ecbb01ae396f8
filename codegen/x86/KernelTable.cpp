// Prints the table as C++ that the build compiles with the kernels' objects.

#include "codegen/x86/KernelTable.h"

#include "codegen/x86/Kernels.h"

namespace flashcp::codegen::x86 {

static void emitDescriptor(const KernelShape &shape,
                           llvm::raw_ostream &output) {
  const KernelTarget &target = *shape.target;
  // Designated, so that compilers hold the order of fields against the struct.
  output << "    {.name = \"" << shape.name() << "\", .target = \""
         << target.name << "\", .emulated = " << shape.emulated
         << ", .pairs = " << target.pairs << ", .any_dim = " << shape.anyDim
         << ",\n     .dim = " << shape.dim
         << ", .value_dim = " << shape.valueDim
         << ", .panel_rows = " << target.panelRows()
         << ", .lanes = " << target.lanes << ", .group = " << target.group
         << ",\n     .key_block = " << target.keyBlock
         << ", .gradient_key_block = " << target.gradientKeyBlock
         << ", .gradient_group = " << target.gradientGroup
         << ", .chunk = " << target.chunk() << ",\n     .forward = &"
         << forwardSymbol(shape) << ", .backward = &" << backwardSymbol(shape)
         << "},\n";
}

void emitTable(llvm::ArrayRef<KernelShape> shapes, llvm::StringRef function,
               llvm::raw_ostream &output) {
  output << "// Written by flashcp-kernelgen.\n"
            "#include \"runtime/cpu/generated_kernels.h\"\n\n"
            "namespace flashcp {\n\n"
            "static_assert(kRunKeys == "
         << kRunKeys << " && kBlockRows == " << kBlockRows
         << " && kBoundsPerPanel == " << kBoundsPerPanel
         << " && kMaxPairsAhead == " << kMaxPairsAhead
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

} // namespace flashcp::codegen::x86
