use tidegate_kernel::{WorkspaceId, WorkspaceScope};

fn move_to(scope: &mut WorkspaceScope, other: WorkspaceId) {
    scope.workspace = other;
}

fn main() {
    let _ = move_to;
}
