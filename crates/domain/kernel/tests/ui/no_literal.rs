use tidegate_kernel::{Actor, Origin, PermissionSet, WorkspaceId, WorkspaceScope};

fn forge(workspace: WorkspaceId, origin: Origin) -> WorkspaceScope {
    WorkspaceScope { workspace, actor: Actor::System, permissions: PermissionSet::ALL, origin }
}

fn main() {
    let _ = forge;
}
