//! temporary
fn main() {
    for c in fault_user::kernel::probe() { println!("{c:#?}"); }
}
