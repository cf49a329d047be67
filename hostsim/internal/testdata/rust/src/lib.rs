use proxy_wasm::traits::*;
use proxy_wasm::types::*;
use std::time::Duration;
proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(Root) });
}}
struct Root;
impl Context for Root {}
impl RootContext for Root {
    fn get_type(&self) -> Option<ContextType> { Some(ContextType::HttpContext) }
    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> { Some(Box::new(Stream { id })) }
    fn on_configure(&mut self, _: usize) -> bool {
        if let Some(c) = self.get_plugin_configuration() { log::info!("configured with {}", String::from_utf8_lossy(&c)); }
        true
    }
}
struct Stream { id: u32 }
impl Context for Stream {
    fn on_http_call_response(&mut self, _: u32, _: usize, n: usize, _: usize) {
        let body = self.get_http_call_response_body(0, n).unwrap_or_default();
        if body == b"deny" {
            self.send_http_response(403, vec![("x-by", "rust")], Some(b"denied\n"));
        } else {
            self.set_http_request_header("x-checked", Some("yes"));
            self.resume_http_request();
        }
    }
}
impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let path = self.get_http_request_header(":path").unwrap_or_default();
        log::info!("stream {} asks for {}", self.id, path);
        self.dispatch_http_call("auth", vec![(":method", "GET"), (":path", &path), (":authority", "auth")], None, vec![], Duration::from_secs(1)).unwrap();
        Action::Pause
    }
    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_response_header("x-rust", Some("1"));
        Action::Continue
    }
}
