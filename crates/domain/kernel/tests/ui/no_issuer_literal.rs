use tidegate_kernel::ScopeIssuer;

fn main() {
    let _ = ScopeIssuer(());
}
