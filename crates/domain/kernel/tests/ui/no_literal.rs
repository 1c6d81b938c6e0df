use tidegate_kernel::{Actor, PermissionSet, RequestId, WorkspaceId, WorkspaceScope};

fn forge(workspace: WorkspaceId, request_id: RequestId) -> WorkspaceScope {
    WorkspaceScope { workspace, actor: Actor::System, permissions: PermissionSet::ALL, request_id }
}

fn main() {
    let _ = forge;
}
