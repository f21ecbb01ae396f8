// Divisions by the group, which is known at launch.

#include "codegen/nvptx/PackedRows.h"

using namespace mlir;

namespace flashcp::codegen::nvptx {

Value tokensPerBlock(DeviceEmitter &emit, int count, Value group) {
  return emit.divide(emit.i32(count), group);
}

PackedRows::PackedRows(DeviceEmitter &emit, Value group, int count,
                       Value firstToken, Value queryCount, Value headBegin,
                       Value headEnd)
    : emit(emit), count(count), group(group), firstToken(firstToken),
      tokenEnd(emit.minimum(
          queryCount,
          emit.add(firstToken, tokensPerBlock(emit, count, group)))),
      headBegin(headBegin), headEnd(headEnd),
      keyValueHead(emit.divide(headBegin, group)) {}

Value PackedRows::token(Value row) const {
  return emit.add(firstToken, emit.divide(row, group));
}

RowPlace PackedRows::at(Value row) const {
  row = emit.pin(row);
  Value quotient = emit.divide(row, group);
  Value token = emit.add(firstToken, quotient);
  Value head = emit.add(emit.mul(keyValueHead, group),
                        emit.sub(row, emit.mul(quotient, group)));
  Value used = emit.both(
      emit.both(emit.atMost(headBegin, head), emit.lessThan(head, headEnd)),
      emit.lessThan(token, tokenEnd));
  return {token, head, used};
}

Value PackedRows::allUsed() const {
  Value tokens = emit.sub(tokenEnd, firstToken);
  Value heads = emit.sub(headEnd, headBegin);
  return emit.isEqual(emit.mul(tokens, heads), count);
}

} // namespace flashcp::codegen::nvptx
