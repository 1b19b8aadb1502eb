#include "ptq/io/sha256.h"

#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <openssl/evp.h>
#include <unistd.h>

#include "posix.h"
#include "ptq/core/error.h"

namespace ptq {

struct Sha256::State {
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  if (EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) != 1)
    throw std::logic_error("the OpenSSL library has no SHA-256");
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(const void* data, size_t size) {
  if (state_ == nullptr || EVP_DigestUpdate(state_->context.get(), data, size) != 1)
    throw std::logic_error("SHA-256 was used after its end");
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> digest = {};
  if (state_ == nullptr || EVP_DigestFinal_ex(state_->context.get(), digest.data(), nullptr) != 1)
    throw std::logic_error("SHA-256 was used after its end");
  state_.reset();
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string sha256_hex(std::string_view data) {
  Sha256 hash;
  hash.update(data);
  return hash.hex();
}

std::string sha256_file(const std::filesystem::path& path, const std::function<void()>& between) {
  int64_t size = 0;
  const FileDescriptor file = open_regular_file(path, size);
  std::vector<char> buffer(size_t{1} << 20);
  Sha256 hash;
  for (;;) {
    if (between) between();
    const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      throw ConfigError("cannot read " + shown(path) + ": " +
                        std::generic_category().message(errno));
    if (count == 0) return hash.hex();
    hash.update(buffer.data(), static_cast<size_t>(count));
  }
}

}  // namespace ptq
