#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace ptq {

/// A plain-text table: the first column left-aligned, the others right-aligned.
class Table {
 public:
  explicit Table(std::vector<std::string> header);
  /// Throws std::logic_error unless it has as many cells as the header.
  void add(std::vector<std::string> row);
  size_t rows() const { return rows_.size(); }
  /// Header, a rule and the rows, each line ended by a newline.
  std::string text() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

/// `value` with `decimals` digits after the point.
std::string fixed(double value, int decimals);
/// "512 B", "1.5 KiB", "113.1 MiB": 1024-based.
std::string human_bytes(int64_t bytes);
/// "0.4 s", "1:05 min", "2:03:10 h".
std::string human_seconds(double seconds);

}  // namespace ptq
