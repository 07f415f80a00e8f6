//! Cursor pages: `id` descending, the cursor is the last id seen.

use uuid::Uuid;

/// What a list call asks for.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// How many items at most, 1 to 200.
    pub limit: u16,
    /// Only items with a smaller id.
    pub before: Option<Uuid>,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// Id to continue after; `None` on the last page.
    pub next: Option<Uuid>,
}

impl PageRequest {
    /// One row more than the page holds: its presence tells that there is a next page.
    pub fn fetch_limit(self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Cuts the extra row off again.
    pub fn page<T>(self, mut rows: Vec<T>, id: impl Fn(&T) -> Uuid) -> Page<T> {
        let limit = usize::from(self.limit);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = if has_more { rows.last().map(id) } else { None };
        Page { items: rows, next }
    }
}
