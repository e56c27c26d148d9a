#include <rankpool/detail/code_address.hpp>

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include <rankpool/errors.hpp>

namespace {

using rankpool::detail::address_of;
using rankpool::detail::CodeAddress;
using rankpool::detail::resolve;

const int some_static = 3;

TEST(CodeAddress, code_and_data_of_the_executable_come_back) {
  const CodeAddress data = address_of(&some_static);
  EXPECT_EQ(data.module, rankpool::detail::executable_id());
  EXPECT_EQ(resolve(data), &some_static);
  const auto* code = reinterpret_cast<const void*>(&rankpool::detail::snapshot_modules);
  EXPECT_EQ(resolve(address_of(code)), code);
}

TEST(CodeAddress, functions_of_shared_libraries_come_back) {
  const void* function = dlsym(RTLD_DEFAULT, "_ZSt9terminatev");
  ASSERT_NE(function, nullptr);
  const CodeAddress address = address_of(function);
  EXPECT_NE(address.module, rankpool::detail::executable_id());
  EXPECT_EQ(resolve(address), function);
  EXPECT_TRUE(std::string_view(address.name.data()).starts_with("libstdc++"));
}

TEST(CodeAddress, a_library_loaded_after_the_snapshot_is_refused_by_name) {
  rankpool::detail::snapshot_modules();
  void* library = dlopen("libBrokenLocale.so.1", RTLD_NOW);  // in every glibc, linked by nobody
  ASSERT_NE(library, nullptr) << dlerror();
  const void* symbol = dlsym(library, "__ctype_get_mb_cur_max");
  ASSERT_NE(symbol, nullptr);
  try {
    (void)address_of(symbol);
    FAIL() << "an address of a library that the executors don't have was accepted";
  } catch (const rankpool::BinaryMismatch& error) {
    EXPECT_NE(std::string(error.what()).find("libBrokenLocale"), std::string::npos) << error.what();
  }
  dlclose(library);
}

TEST(CodeAddress, an_address_in_no_module_is_refused) {
  const int local = 0;
  EXPECT_THROW((void)address_of(&local), rankpool::BinaryMismatch);
}

TEST(CodeAddress, unknown_modules_and_offsets_are_refused) {
  try {
    (void)resolve({0x1234abcd, 16, {"libelsewhere.so"}});
    FAIL() << "an unknown module was resolved";
  } catch (const rankpool::BinaryMismatch& error) {
    EXPECT_NE(std::string(error.what()).find("'libelsewhere.so' (build 0x1234abcd)"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("no such library is loaded"), std::string::npos) << error.what();
  }
  EXPECT_THROW((void)resolve({rankpool::detail::executable_id(), std::uint64_t{1} << 46U}), rankpool::BinaryMismatch);
}

TEST(CodeAddress, another_build_of_a_library_is_told_by_its_file) {
  CodeAddress address = address_of(dlsym(RTLD_DEFAULT, "_ZSt9terminatev"));
  Dl_info library{};
  ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, "_ZSt9terminatev"), &library), 0);
  const std::string file = library.dli_fname;
  ++address.module;
  try {
    (void)resolve(address);
    FAIL() << "another build was resolved";
  } catch (const rankpool::BinaryMismatch& error) {
    EXPECT_NE(std::string(error.what()).find("'" + file + "' is another one"), std::string::npos) << error.what();
  }
}

TEST(CodeAddress, the_executable_is_named) {
  const CodeAddress address = address_of(&some_static);
  EXPECT_EQ(address.name.data(), std::filesystem::read_symlink("/proc/self/exe").filename().string());
}

}  // namespace
