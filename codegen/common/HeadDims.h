// Head dimensions that every target generates kernels for: common ones with a
// kernel each, and any other multiple of kDimStep up to kMaxDim with a slower
// kernel that takes the dimensions as arguments.

#ifndef FLASHCP_CODEGEN_COMMON_HEADDIMS_H_
#define FLASHCP_CODEGEN_COMMON_HEADDIMS_H_

namespace flashcp::codegen {

inline constexpr int kMaxDim = 256;
inline constexpr int kDimStep = 8;

struct HeadDims {
  int dim;      // of Q and K
  int valueDim; // of V and O
};

inline constexpr HeadDims kHeadDims[] = {{64, 64},   {96, 96},   {128, 128},
                                         {192, 192}, {192, 128}, {256, 256}};

} // namespace flashcp::codegen

#endif // FLASHCP_CODEGEN_COMMON_HEADDIMS_H_
