use tidegate_kernel::WorkspaceScope;

fn main() {
    let _ = WorkspaceScope::default();
}
