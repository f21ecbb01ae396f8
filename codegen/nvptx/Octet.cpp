// An access of 16 bytes is a vector of four words.

#include "codegen/nvptx/Octet.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace flashcp::codegen::nvptx {

static constexpr int wordBytes = 4, wideBytes = 16, elementBytes = 2;
static constexpr int words = wideBytes / wordBytes;

// Loads four words of a type.
static Values loadWords(DeviceEmitter &emit, Type type, Value address) {
  Value vector = emit.loadGlobal(emit.vectorOf(type, words), address);
  Values loaded;
  for (int i = 0; i < words; ++i)
    loaded.push_back(
        LLVM::ExtractElementOp::create(emit.builder, vector, emit.i32(i)));
  return loaded;
}

static void storeWords(DeviceEmitter &emit, ValueRange values, Value address) {
  Type type = emit.vectorOf(values.front().getType(), words);
  Value vector = LLVM::PoisonOp::create(emit.builder, type);
  for (int i = 0; i < words; ++i)
    vector = LLVM::InsertElementOp::create(emit.builder, vector, values[i],
                                           emit.i32(i));
  emit.storeGlobal(vector, address);
}

Value loadElement(DeviceEmitter &emit, Element element, Value address) {
  Value bits = emit.loadGlobal(emit.i16(), address);
  Value word = arith::ExtUIOp::create(emit.builder, emit.i32(), bits);
  return emit.unpackPair(element, word).first;
}

void storeElement(DeviceEmitter &emit, Element element, Value value,
                  Value address) {
  Value word = emit.packPair(element, value, emit.f32(0));
  emit.storeGlobal(arith::TruncIOp::create(emit.builder, emit.i16(), word),
                   address);
}

Values loadElements(DeviceEmitter &emit, Element element, Value address,
                    bool wide) {
  Values floats;
  if (wide) {
    for (Value word : loadWords(emit, emit.i32(), address)) {
      auto [low, high] = emit.unpackPair(element, word);
      floats.append({low, high});
    }
    return floats;
  }
  for (int i = 0; i < kOctet; ++i)
    floats.push_back(
        loadElement(emit, element, emit.add(address, i * elementBytes)));
  return floats;
}

Values loadFloats(DeviceEmitter &emit, Value address, bool wide) {
  Values floats;
  if (wide) {
    floats = loadWords(emit, emit.f32(), address);
    floats.append(loadWords(emit, emit.f32(), emit.add(address, wideBytes)));
    return floats;
  }
  for (int i = 0; i < kOctet; ++i)
    floats.push_back(emit.loadGlobal(emit.f32(), address, i * wordBytes));
  return floats;
}

void storeElements(DeviceEmitter &emit, Element element, ValueRange floats,
                   Value address, bool wide) {
  if (wide) {
    Values pairs;
    for (int i = 0; i < kOctet; i += 2)
      pairs.push_back(emit.packPair(element, floats[i], floats[i + 1]));
    return storeWords(emit, pairs, address);
  }
  for (int i = 0; i < kOctet; ++i)
    storeElement(emit, element, floats[i], emit.add(address, i * elementBytes));
}

void storeFloats(DeviceEmitter &emit, ValueRange floats, Value address,
                 bool wide) {
  if (wide) {
    storeWords(emit, floats.take_front(words), address);
    return storeWords(emit, floats.drop_front(words),
                      emit.add(address, wideBytes));
  }
  for (int i = 0; i < kOctet; ++i)
    emit.storeGlobal(floats[i], address, i * wordBytes);
}

Value allWide(DeviceEmitter &emit, ValueRange addresses) {
  Value bits = addresses.front();
  for (Value address : addresses.drop_front())
    bits = emit.bitOr(bits, address);
  return emit.isEqual(emit.bitAnd(bits, wideBytes - 1), 0);
}

} // namespace flashcp::codegen::nvptx
