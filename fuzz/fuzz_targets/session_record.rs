#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsrv_fuzz::session_record(data));
