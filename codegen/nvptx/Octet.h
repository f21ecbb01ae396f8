// Eight elements, or eight floats, of a thread: 16 bytes an access where
// addresses allow, element by element otherwise, with the same results.

#ifndef FLASHCP_CODEGEN_NVPTX_OCTET_H_
#define FLASHCP_CODEGEN_NVPTX_OCTET_H_

#include "codegen/nvptx/DeviceEmitter.h"

namespace flashcp::codegen::nvptx {

constexpr int kOctet = 8;

/// Load eight values from a global address as floats. `wide`: the address is a
/// multiple of 16.
Values loadElements(DeviceEmitter &emit, Element element, mlir::Value address,
                    bool wide);
Values loadFloats(DeviceEmitter &emit, mlir::Value address, bool wide);

/// Store eight floats, rounded to elements or as they are.
void storeElements(DeviceEmitter &emit, Element element,
                   mlir::ValueRange floats, mlir::Value address, bool wide);
void storeFloats(DeviceEmitter &emit, mlir::ValueRange floats,
                 mlir::Value address, bool wide);

/// Load and store one element as a float.
mlir::Value loadElement(DeviceEmitter &emit, Element element,
                        mlir::Value address);
void storeElement(DeviceEmitter &emit, Element element, mlir::Value value,
                  mlir::Value address);

/// Returns whether all of these i64 are multiples of 16.
mlir::Value allWide(DeviceEmitter &emit, mlir::ValueRange addresses);

} // namespace flashcp::codegen::nvptx

#endif // FLASHCP_CODEGEN_NVPTX_OCTET_H_
