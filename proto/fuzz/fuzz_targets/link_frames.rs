#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hatchway_proto::link::check::link_frames(data));
