use tidegate_kernel::WorkspaceScope;

fn from_input(text: &str) -> Option<WorkspaceScope> {
    serde_json::from_str(text).ok()
}

fn main() {
    let _ = from_input;
}
