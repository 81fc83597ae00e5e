# cargo-fuzz, and what of fuzz/ it runs. Sourced by tests/long.

install_cargo_fuzz() {
    # libFuzzer is C++.
    command -v c++ > /dev/null || install_packages g++ || return 1
    [ -x target/tools/bin/cargo-fuzz ] && return 0
    banner "installing cargo-fuzz"
    cargo install --locked --root target/tools cargo-fuzz@0.13.2
}

fuzz() { # target, or none for all; seconds for each
    local file files=("fuzz/targets/$1.rs") target
    [ -n "$1" ] || files=(fuzz/targets/*.rs)
    for file in "${files[@]}"; do
        target=$(basename "$file" .rs)
        banner "$target, $2 s"
        # What is found is kept beside the corpus, and not in it. No sanitizer: nothing here is unsafe that one would watch. The
        # variable lets the stable compiler count what is reached.
        mkdir -p "target/fuzz/$target"
        PATH=$PWD/target/tools/bin:$PATH RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none "$target" \
            "target/fuzz/$target" "fuzz/corpus/$target" -- -max_total_time="$2" -timeout=10 -print_final_stats=1
    done
}
