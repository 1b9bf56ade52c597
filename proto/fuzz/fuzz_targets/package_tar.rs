#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hatchway_package::check::unpacked_tar(data));
