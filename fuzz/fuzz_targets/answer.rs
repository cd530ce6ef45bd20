#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    keyturn::testbed::fuzzing::answer(data);
});
