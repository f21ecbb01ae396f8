// Lane maps of ldmatrix.x4 and mma.sync.m16n8k16 (PTX ISA, "Matrix fragments
// for mma.m16n8k16").

#include "codegen/nvptx/sm80/Fragments.h"

#include "llvm/ADT/Twine.h"

using namespace mlir;

namespace flashcp::codegen::nvptx::sm80 {

Value warpId(DeviceEmitter &emit) {
  return emit.shuffleIndex(emit.shiftRight(emit.threadId(), 5), 0);
}

Value laneId(DeviceEmitter &emit) { return emit.bitAnd(emit.threadId(), 31); }

static bool isTransposed(Operand operand) {
  return operand == Operand::aTransposed || operand == Operand::bTransposed;
}

// Lanes 8 i .. 8 i + 7 give the rows of the 8 x 8 matrix that becomes register
// i. Registers 1 and 2 of A are 8 rows down and 8 columns right (m, k); those
// of B are 8 columns (k) and 8 rows (n) on. Transposing swaps the two.
FragmentLoader::FragmentLoader(DeviceEmitter &emit, const SharedTile &tile,
                               Operand operand, Value row, Value group)
    : emit(emit), tile(tile), operand(operand) {
  Value lane = laneId(emit);
  Value first = emit.bitAnd(emit.shiftRight(lane, 3), 1);
  Value second = emit.shiftRight(lane, 4);
  bool downFirst = operand == Operand::a || operand == Operand::bTransposed;
  Value down = downFirst ? first : second;
  Value right = downFirst ? second : first;
  Value laneRow = emit.add(emit.bitAnd(lane, 7), emit.shiftLeft(down, 3));
  if (row)
    laneRow = emit.add(laneRow, row);
  if (group)
    right = emit.add(right, emit.shiftLeft(group, 1));
  Value offset = tile.chunkOffset(emit, laneRow, right);
  for (int pair = 0; pair < tile.slabChunks() / 2; ++pair)
    addresses.push_back(
        emit.add(emit.sharedBase(),
                 emit.bitXor(offset, emit.i32(2 * pair * chunkBytes))));
}

Fragment FragmentLoader::load(int row, int column, Value stage) const {
  int slab = column / tile.slabColumns();
  int pair = column % tile.slabColumns() / 16;
  int offset = tile.offset + slab * tile.slabBytes() + row * tile.rowBytes();
  StringRef transposed = isTransposed(operand) ? ".trans" : "";
  Values registers = emit.ptx(
      "ldmatrix.sync.aligned.m8n8.x4" + transposed +
          ".shared.b16 {$0, $1, $2, $3}, [$4 + " + Twine(offset) + "];",
      "=r,=r,=r,=r,r",
      stage ? emit.add(addresses[pair], stage) : addresses[pair],
      {emit.i32(), emit.i32(), emit.i32(), emit.i32()});
  return {registers[0], registers[1], registers[2], registers[3]};
}

void multiply(DeviceEmitter &emit, Element element, MutableArrayRef<Value> sums,
              const Fragment &a, ArrayRef<Value> b) {
  Values operands(a.begin(), a.end());
  operands.append(b.begin(), b.end());
  operands.append(sums.begin(), sums.end());
  StringRef type = elementName(element);
  Values results =
      emit.ptx("mma.sync.aligned.m16n8k16.row.col.f32." + type + "." + type +
                   ".f32 {$0, $1, $2, $3}, {$4, $5, $6, $7}, {$8, $9}, "
                   "{$10, $11, $12, $13};",
               "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f", operands,
               {emit.f32(), emit.f32(), emit.f32(), emit.f32()});
  llvm::copy(results, sums.begin());
}

Fragment roundToA(DeviceEmitter &emit, Element element, ArrayRef<Value> sums) {
  Fragment fragment;
  for (int i = 0; i < 4; ++i)
    fragment[i] = emit.packPair(element, sums[2 * i], sums[2 * i + 1]);
  return fragment;
}

} // namespace flashcp::codegen::nvptx::sm80
