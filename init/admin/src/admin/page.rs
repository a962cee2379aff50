//! The status page: three static files, no data. The browser asks for a token and
//! fetches the rest itself.

use axum::http::{HeaderName, header};

type File = ([(HeaderName, &'static str); 1], &'static str);

pub(super) async fn html() -> File {
    (
        [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
        include_str!("page.html"),
    )
}

pub(super) async fn script() -> File {
    (
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")],
        include_str!("page.js"),
    )
}

pub(super) async fn style() -> File {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8")],
        include_str!("page.css"),
    )
}
