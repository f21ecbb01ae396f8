// Neighbouring threads copy neighbouring chunks of a row of a slab.

#include "codegen/nvptx/sm80/TileCopy.h"

#include "llvm/ADT/Twine.h"

using namespace mlir;

namespace flashcp::codegen::nvptx::sm80 {

TileCopy::TileCopy(DeviceEmitter &emit, const SharedTile &tile, int threads)
    : emit(emit), tile(tile), rowsPerPass(threads / tile.slabChunks()) {
  assert(tile.rows % rowsPerPass == 0 && rowsPerPass % 8 == 0);
  Value thread = emit.threadId();
  Value chunk = emit.bitAnd(thread, tile.slabChunks() - 1);
  row = emit.div(thread, tile.slabChunks());
  target = emit.add(emit.sharedBase(), tile.chunkOffset(emit, row, chunk));
  column = emit.widenUnsigned(emit.mul(chunk, chunkBytes));
}

void TileCopy::start(function_ref<SourceRow(Value)> source, Value stage) const {
  Value to = stage ? emit.add(target, stage) : target;
  for (int pass = 0; pass < tile.rows / rowsPerPass; ++pass) {
    int down = pass * rowsPerPass;
    SourceRow from = source(emit.add(row, down));
    Value address = emit.add(from.address, column);
    Value bytes = emit.select(from.used, emit.i32(chunkBytes), emit.i32(0));
    for (int slab = 0; slab < tile.slabs(); ++slab) {
      int offset =
          tile.offset + slab * tile.slabBytes() + down * tile.rowBytes();
      emit.ptx("cp.async.cg.shared.global [$0 + " + Twine(offset) +
                   "], [$1 + " + Twine(slab * tile.rowBytes()) + "], 16, $2;",
               "r,l,r", {to, address, bytes}, {});
    }
  }
}

void commitCopies(DeviceEmitter &emit) {
  emit.ptx("cp.async.commit_group;", "", {}, {});
}

void waitForCopies(DeviceEmitter &emit, int pending) {
  emit.ptx("cp.async.wait_group " + Twine(pending) + ";", "", {}, {});
}

} // namespace flashcp::codegen::nvptx::sm80
