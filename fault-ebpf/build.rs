//! Link options of the BPF object that cannot be said in the manifest.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("bpf") {
        return;
    }
    // Atomics that return the old value (kernel 5.12) are part of BPF cpu v3. rustc hands
    // `--cpu generic` (v1) to bpf-linker, aya-build leaves no room for -Ctarget-cpu, and a
    // second --cpu is an error; the feature is what LLVM asks for (BPFMIChecking, HasAlu32).
    println!("cargo:rustc-link-arg-bins=--cpu-features=+alu32");
}
