use tidegate_kernel::WorkspaceScope;

fn keep(scope: &WorkspaceScope) -> WorkspaceScope {
    scope.clone()
}

fn main() {
    let _ = keep;
}
