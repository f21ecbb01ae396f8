// Each function builds one op, or a few.

#include "codegen/nvptx/DeviceEmitter.h"

#include "codegen/nvptx/kernel_abi.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp::codegen::nvptx {

static constexpr unsigned globalSpace = 1, sharedSpace = 3;
static constexpr int64_t allLanes = -1, lastLane = 31;

VectorType DeviceEmitter::vectorOf(Type element, int count) {
  return VectorType::get({count}, element);
}

Value DeviceEmitter::i32(int64_t value) {
  return arith::ConstantIntOp::create(builder, i32(), value);
}

Value DeviceEmitter::i64(int64_t value) {
  return arith::ConstantIntOp::create(builder, i64(), value);
}

Value DeviceEmitter::f32(float value) {
  return arith::ConstantOp::create(builder, builder.getF32FloatAttr(value));
}

Value DeviceEmitter::mul(Value a, int64_t b) {
  return b == 1 ? a : mul(a, like(a, b));
}

Value DeviceEmitter::divide(Value a, Value b) {
  return arith::DivUIOp::create(builder, a, b);
}

Value DeviceEmitter::remainder(Value a, Value b) {
  return arith::RemUIOp::create(builder, a, b);
}

Value DeviceEmitter::bitAnd(Value a, int64_t b) {
  return arith::AndIOp::create(builder, a, like(a, b));
}

Value DeviceEmitter::bitOr(Value a, Value b) {
  return arith::OrIOp::create(builder, a, b);
}

Value DeviceEmitter::bitXor(Value a, Value b) {
  return arith::XOrIOp::create(builder, a, b);
}

Value DeviceEmitter::shiftLeft(Value a, int64_t bits) {
  return arith::ShLIOp::create(builder, a, like(a, bits));
}

Value DeviceEmitter::shiftRight(Value a, int64_t bits) {
  return arith::ShRUIOp::create(builder, a, like(a, bits));
}

Value DeviceEmitter::isEqual(Value a, Value b) {
  return arith::CmpIOp::create(builder, arith::CmpIPredicate::eq, a, b);
}

Value DeviceEmitter::isEqual(Value a, int64_t b) {
  return isEqual(a, like(a, b));
}

Value DeviceEmitter::notEqual(Value a, int64_t b) {
  return arith::CmpIOp::create(builder, arith::CmpIPredicate::ne, a,
                               like(a, b));
}

Value DeviceEmitter::lessThan(Value a, int64_t b) {
  return lessThan(a, like(a, b));
}

Value DeviceEmitter::either(Value a, Value b) { return bitOr(a, b); }

Value DeviceEmitter::widen(Value a) {
  return arith::ExtSIOp::create(builder, i64(), a);
}

Value DeviceEmitter::widenUnsigned(Value a) {
  return arith::ExtUIOp::create(builder, i64(), a);
}

Value DeviceEmitter::narrow(Value a) {
  return arith::TruncIOp::create(builder, i32(), a);
}

Value DeviceEmitter::widenToI32(Value a) {
  return arith::ExtUIOp::create(builder, i32(), a);
}

Value DeviceEmitter::fma(Value a, Value b, Value sum) {
  return LLVM::FMAOp::create(builder, a, b, sum);
}

Value DeviceEmitter::negate(Value a) {
  return arith::NegFOp::create(builder, a);
}

Value DeviceEmitter::maxNumber(Value a, Value b) {
  return arith::MaxNumFOp::create(builder, a, b);
}

Value DeviceEmitter::minimumOrNan(Value a, Value b) {
  return arith::MinimumFOp::create(builder, a, b);
}

Value DeviceEmitter::differs(Value a, float b) {
  return arith::CmpFOp::create(builder, arith::CmpFPredicate::UNE, a, f32(b));
}

Value DeviceEmitter::isLarger(Value a, float b) {
  Value magnitude = LLVM::FAbsOp::create(builder, a);
  return arith::CmpFOp::create(builder, arith::CmpFPredicate::OGT, magnitude,
                               f32(b));
}

// Calls an LLVM intrinsic of one result.
static Value call(ImplicitLocOpBuilder &builder, StringRef intrinsic,
                  ValueRange arguments, Type result) {
  return LLVM::CallIntrinsicOp::create(
             builder, result, builder.getStringAttr(intrinsic), arguments)
      .getResult(0);
}

Value DeviceEmitter::exp2(Value a) {
  return call(builder, "llvm.nvvm.ex2.approx.ftz.f32", a, f32());
}

Value DeviceEmitter::log2(Value a) {
  return call(builder, "llvm.nvvm.lg2.approx.ftz.f", a, f32());
}

Value DeviceEmitter::reciprocal(Value a) {
  return call(builder, "llvm.nvvm.rcp.approx.ftz.f", a, f32());
}

// The intrinsics take the high half first.
Value DeviceEmitter::packPair(Element element, Value low, Value high) {
  bool bf16 = element == Element::bf16;
  Type type = bf16 ? Type(builder.getBF16Type()) : Type(builder.getF16Type());
  Value pair =
      call(builder, bf16 ? "llvm.nvvm.ff2bf16x2.rn" : "llvm.nvvm.ff2f16x2.rn",
           {high, low}, vectorOf(type, 2));
  return bitcast(pair, i32());
}

// A bf16 is the high half of a float.
std::pair<Value, Value> DeviceEmitter::unpackPair(Element element, Value pair) {
  if (element == Element::bf16)
    return {bitcast(shiftLeft(pair, 16), f32()),
            bitcast(bitAnd(pair, 0xffff0000), f32())};
  Value halves = bitcast(pair, vectorOf(builder.getF16Type(), 2));
  auto half = [&](int i) -> Value {
    Value element = LLVM::ExtractElementOp::create(builder, halves, i32(i));
    return LLVM::FPExtOp::create(builder, f32(), element);
  };
  return {half(0), half(1)};
}

Value DeviceEmitter::bitcast(Value a, Type type) {
  return LLVM::BitcastOp::create(builder, type, a);
}

Value DeviceEmitter::extract(Value vector, int i) {
  return LLVM::ExtractElementOp::create(builder, vector, i32(i));
}

Value DeviceEmitter::join(ValueRange elements) {
  Type type = vectorOf(elements.front().getType(), elements.size());
  Value vector = LLVM::PoisonOp::create(builder, type);
  for (auto [i, element] : llvm::enumerate(elements))
    vector = LLVM::InsertElementOp::create(builder, vector, element, i32(i));
  return vector;
}

static Value pointer(ImplicitLocOpBuilder &builder, Value address,
                     unsigned space) {
  Type type = LLVM::LLVMPointerType::get(builder.getContext(), space);
  return LLVM::IntToPtrOp::create(builder, type, address);
}

Value DeviceEmitter::globalPointer(Value address) {
  return pointer(builder, address, globalSpace);
}

Value DeviceEmitter::sharedPointer(Value address) {
  return pointer(builder, address, sharedSpace);
}

// Returns the bytes of a scalar or a vector.
static unsigned bytesOf(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  unsigned count = vector ? vector.getNumElements() : 1;
  return count * getElementTypeOrSelf(type).getIntOrFloatBitWidth() / 8;
}

Value DeviceEmitter::loadGlobal(Type type, Value address, int64_t offset) {
  return LLVM::LoadOp::create(
      builder, type, globalPointer(add(address, offset)), bytesOf(type));
}

void DeviceEmitter::storeGlobal(Value value, Value address, int64_t offset) {
  LLVM::StoreOp::create(builder, value, globalPointer(add(address, offset)),
                        bytesOf(value.getType()));
}

Value DeviceEmitter::loadShared(Type type, Value address, int64_t offset) {
  return LLVM::LoadOp::create(
      builder, type, sharedPointer(add(address, offset)), bytesOf(type));
}

void DeviceEmitter::storeShared(Value value, Value address, int64_t offset) {
  LLVM::StoreOp::create(builder, value, sharedPointer(add(address, offset)),
                        bytesOf(value.getType()));
}

Value DeviceEmitter::atomicAdd(Value address, Value value) {
  return LLVM::AtomicRMWOp::create(builder, LLVM::AtomicBinOp::add,
                                   globalPointer(address), value,
                                   LLVM::AtomicOrdering::monotonic, "device");
}

static constexpr llvm::StringLiteral sharedSymbol = "flashcp_shared";

Value DeviceEmitter::sharedBase() {
  Type type = LLVM::LLVMPointerType::get(builder.getContext(), sharedSpace);
  Value base = LLVM::AddressOfOp::create(builder, type, sharedSymbol);
  return LLVM::PtrToIntOp::create(builder, i32(), base);
}

Value DeviceEmitter::threadId() {
  return NVVM::ThreadIdXOp::create(builder, i32());
}

Value DeviceEmitter::blockId() {
  return NVVM::BlockIdXOp::create(builder, i32());
}

Value DeviceEmitter::blockCount() {
  return NVVM::GridDimXOp::create(builder, i32());
}

Value DeviceEmitter::shuffleXor(Value value, int mask) {
  return NVVM::ShflOp::create(builder, value.getType(), i32(allLanes), value,
                              i32(mask), i32(lastLane), NVVM::ShflKind::bfly,
                              UnitAttr());
}

Value DeviceEmitter::shuffleIndex(Value value, int lane) {
  return shuffleIndex(value, i32(lane));
}

Value DeviceEmitter::shuffleIndex(Value value, Value lane) {
  return NVVM::ShflOp::create(builder, value.getType(), i32(allLanes), value,
                              lane, i32(lastLane), NVVM::ShflKind::idx,
                              UnitAttr());
}

Value DeviceEmitter::anyLane(Value condition) {
  return call(builder, "llvm.nvvm.vote.any.sync", {i32(allLanes), condition},
              i1());
}

void DeviceEmitter::synchronise() { NVVM::Barrier0Op::create(builder); }

void DeviceEmitter::synchroniseWarp() {
  NVVM::SyncWarpOp::create(builder, i32(allLanes));
}

void DeviceEmitter::ifThen(Value condition, function_ref<void()> body) {
  auto branch = scf::IfOp::create(builder, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  body();
}

void DeviceEmitter::ifThenElse(Value condition, function_ref<void()> whenTrue,
                               function_ref<void()> whenFalse) {
  auto branch = scf::IfOp::create(builder, condition, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  whenTrue();
  builder.setInsertionPointToStart(branch.elseBlock());
  whenFalse();
}

Values DeviceEmitter::whileLoop(ValueRange init,
                                function_ref<Value(ValueRange)> condition,
                                function_ref<Values(ValueRange)> body) {
  auto loop = scf::WhileOp::create(
      builder, init.getTypes(), init,
      [&](OpBuilder &, Location, ValueRange state) {
        OpBuilder::InsertionGuard guard(builder);
        builder.setInsertionPointToEnd(state.empty()
                                           ? builder.getInsertionBlock()
                                           : state.front().getParentBlock());
        scf::ConditionOp::create(builder, condition(state), state);
      },
      [&](OpBuilder &, Location, ValueRange state) {
        OpBuilder::InsertionGuard guard(builder);
        builder.setInsertionPointToEnd(state.empty()
                                           ? builder.getInsertionBlock()
                                           : state.front().getParentBlock());
        scf::YieldOp::create(builder, body(state));
      });
  return Values(loop.getResults());
}

Value DeviceEmitter::pin(Value value) {
  bool wide = value.getType() == i64();
  return ptx(wide ? "mov.b64 $0, $1;" : "mov.b32 $0, $1;",
             wide ? "=l,l" : "=r,r", value, value.getType())
      .front();
}

Values DeviceEmitter::ptx(const Twine &text, StringRef constraints,
                          ValueRange operands, TypeRange results) {
  MLIRContext *context = builder.getContext();
  Type type =
      results.empty() ? Type(LLVM::LLVMVoidType::get(context))
      : results.size() == 1
          ? results.front()
          : LLVM::LLVMStructType::getLiteral(context, llvm::to_vector(results));
  auto statement = LLVM::InlineAsmOp::create(
      builder, results.empty() ? TypeRange() : TypeRange(type), operands,
      text.str(), constraints, /*has_side_effects=*/true,
      /*is_align_stack=*/false, LLVM::tailcallkind::TailCallKind::None,
      LLVM::AsmDialectAttr::get(context, LLVM::AsmDialect::AD_ATT),
      ArrayAttr());
  if (results.size() <= 1)
    return Values(statement->getResults());
  Values values;
  for (size_t i = 0; i < results.size(); ++i)
    values.push_back(
        LLVM::ExtractValueOp::create(builder, statement.getRes(), i));
  return values;
}

// Declares dynamic shared memory, 1024-aligned as 128-byte swizzles ask, once.
static void declareShared(ImplicitLocOpBuilder &builder, ModuleOp module) {
  if (module.lookupSymbol(sharedSymbol))
    return;
  auto type = LLVM::LLVMArrayType::get(builder.getI8Type(), 0);
  auto memory = LLVM::GlobalOp::create(
      builder, type, /*isConstant=*/false, LLVM::Linkage::External,
      sharedSymbol, Attribute(), /*alignment=*/1024, sharedSpace);
  (void)memory;
}

// The struct that the kernel's parameter is, of as many bytes.
static Type argumentsType(MLIRContext *context) {
  auto word = IntegerType::get(context, 64);
  return LLVM::LLVMArrayType::get(word, sizeof(gpu::LaunchArguments) / 8);
}

void addDeviceKernel(ModuleOp module, StringRef symbol, LaunchBounds bounds,
                     function_ref<void(DeviceEmitter &, Value)> build) {
  MLIRContext *context = module.getContext();
  ImplicitLocOpBuilder builder(module.getLoc(), context);
  builder.setInsertionPointToEnd(module.getBody());
  declareShared(builder, module);
  Type pointer = LLVM::LLVMPointerType::get(context);
  auto function = LLVM::LLVMFuncOp::create(
      builder, symbol,
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), {pointer}));
  function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(),
                    builder.getUnitAttr());
  function->setAttr(NVVM::NVVMDialect::getReqntidAttrName(),
                    builder.getDenseI32ArrayAttr({bounds.threads, 1, 1}));
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    builder.getI32IntegerAttr(bounds.minBlocks));
  function.setArgAttr(0, LLVM::LLVMDialect::getByValAttrName(),
                      TypeAttr::get(argumentsType(context)));
  function.setArgAttr(0, LLVM::LLVMDialect::getAlignAttrName(),
                      builder.getI64IntegerAttr(8));
  function.setArgAttr(0, NVVM::NVVMDialect::getGridConstantAttrName(),
                      builder.getUnitAttr());
  builder.setInsertionPointToStart(function.addEntryBlock(builder));
  DeviceEmitter emit(builder);
  build(emit, function.getArgument(0));
  LLVM::ReturnOp::create(builder, ValueRange());
}

} // namespace flashcp::codegen::nvptx
