#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| daypass::fuzzing::authorization(input));
