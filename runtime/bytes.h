// Memory of the caller with its size, so that a call can check it before it reads or writes.

#ifndef FLASHCP_RUNTIME_BYTES_H_
#define FLASHCP_RUNTIME_BYTES_H_

#include <cstddef>
#include <iterator>
#include <type_traits>
#include <utility>

namespace flashcp {

// Anything that holds elements side by side.
template <typename Container>
using IfContainer = std::enable_if_t<
    std::is_object_v<std::remove_pointer_t<decltype(std::data(std::declval<Container&>()))>>>;

// Memory that a call writes. Made from a pointer and a number of bytes, or from anything that holds
// elements side by side, such as a vector of floats; null of 0 bytes by default.
class MutableBytes {
 public:
  MutableBytes() = default;
  MutableBytes(void* data, size_t size) : data_(data), size_(size) {}
  template <typename Container, typename = IfContainer<Container>>
  MutableBytes(Container& elements)
      : data_(std::data(elements)), size_(std::size(elements) * sizeof(*std::data(elements))) {}

  void* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

// Memory that a call reads, made in the same ways.
class ConstBytes {
 public:
  ConstBytes() = default;
  ConstBytes(const void* data, size_t size) : data_(data), size_(size) {}
  ConstBytes(MutableBytes bytes) : data_(bytes.data()), size_(bytes.size()) {}
  template <typename Container, typename = IfContainer<const Container>>
  ConstBytes(const Container& elements)
      : data_(std::data(elements)), size_(std::size(elements) * sizeof(*std::data(elements))) {}

  const void* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  const void* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_BYTES_H_
