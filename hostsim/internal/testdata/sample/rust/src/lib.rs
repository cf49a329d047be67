//! The sample filter on the Rust SDK; README.md above says what it does.

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MetricType, Status};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::<Root>::default() });
}}

/// What the streams share with their root context.
#[derive(Default)]
struct Plugin {
    queue: u32,
    requests: u32,
    active: u32,
    path: u32,
    waiting: RefCell<Vec<u32>>, // streams that the next tick wakes
}

#[derive(Default)]
struct Root {
    vm_config: Vec<u8>,
    plugin: Rc<Plugin>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_vm_start(&mut self, _: usize) -> bool {
        self.vm_config = self.get_vm_configuration().unwrap_or_default();
        true
    }

    fn on_configure(&mut self, _: usize) -> bool {
        let config = self.get_plugin_configuration().unwrap_or_default();
        log::info!(
            "start vm={} plugin={}",
            String::from_utf8_lossy(&self.vm_config),
            String::from_utf8_lossy(&config)
        );
        self.plugin = Rc::new(Plugin {
            queue: self.register_shared_queue("sample"),
            requests: hostcalls::define_metric(MetricType::Counter, "sample.requests").unwrap(),
            active: hostcalls::define_metric(MetricType::Gauge, "sample.active").unwrap(),
            path: hostcalls::define_metric(MetricType::Histogram, "sample.path").unwrap(),
            waiting: RefCell::default(),
        });
        self.set_tick_period(Duration::from_millis(50));
        true
    }

    fn on_tick(&mut self) {
        for id in self.plugin.waiting.take() {
            hostcalls::set_effective_context(id).unwrap();
            hostcalls::add_map_value(
                proxy_wasm::types::MapType::HttpRequestHeaders,
                "x-woken",
                "tick",
            )
            .unwrap();
            hostcalls::resume_http_request().unwrap();
        }
    }

    fn on_queue_ready(&mut self, queue: u32) {
        if let Ok(Some(path)) = self.dequeue_shared_queue(queue) {
            log::info!("queue {}", String::from_utf8_lossy(&path));
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream {
            plugin: self.plugin.clone(),
            id,
            path: String::new(),
        }))
    }
}

struct Stream {
    plugin: Rc<Plugin>,
    id: u32,
    path: String,
}

impl Stream {
    /// Adds 1 to the proxy's count of requests.
    fn count(&self) -> u32 {
        loop {
            let (value, cas) = self.get_shared_data("requests");
            let n = 1 + value.map_or(0, |v| String::from_utf8_lossy(&v).parse().unwrap_or(0));
            match self.set_shared_data("requests", Some(n.to_string().as_bytes()), cas) {
                Err(Status::CasMismatch) => continue,
                _ => return n,
            }
        }
    }

    fn ask(&self, cluster: &str) -> Action {
        let headers = vec![
            (":method", "GET"),
            (":path", "/answer"),
            (":authority", cluster),
        ];
        match self.dispatch_http_call(cluster, headers, None, vec![], Duration::from_millis(300)) {
            Ok(_) => Action::Pause,
            Err(_) => {
                self.add_http_request_header("x-asked", "refused");
                Action::Continue
            }
        }
    }
}

impl Context for Stream {
    fn on_http_call_response(&mut self, _: u32, _: usize, size: usize, _: usize) {
        let status = self
            .get_http_call_response_header(":status")
            .unwrap_or_default();
        self.add_http_request_header("x-asked", &format!("{} {}", status, size));
        self.resume_http_request();
    }

    fn on_done(&mut self) -> bool {
        hostcalls::increment_metric(self.plugin.active, -1).unwrap();
        let code = self
            .get_property(vec!["response", "code"])
            .unwrap_or_default();
        let status = code.try_into().map_or(0, u64::from_le_bytes);
        log::info!("done {} {}", self.path, status);
        self.enqueue_shared_queue(self.plugin.queue, Some(self.path.as_bytes()))
            .unwrap();
        true
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.path = self.get_http_request_header(":path").unwrap_or_default();
        hostcalls::increment_metric(self.plugin.requests, 1).unwrap();
        hostcalls::increment_metric(self.plugin.active, 1).unwrap();
        hostcalls::record_metric(self.plugin.path, self.path.len() as u64).unwrap();
        self.add_http_request_header("x-count", &self.count().to_string());
        match self.path.as_str() {
            "/deny" => {
                self.send_http_response(403, vec![("x-reason", "policy")], Some(b"denied\n"));
                return Action::Pause;
            }
            "/ask" => return self.ask("backend"),
            "/ask-nobody" => return self.ask("nobody"),
            "/later" => {
                self.plugin.waiting.borrow_mut().push(self.id);
                return Action::Pause;
            }
            "/old" => self.set_http_request_header(":path", Some("/new")),
            "/wrap" => self.set_http_request_header("content-length", None),
            _ => {}
        }
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if self.path != "/wrap" {
            return Action::Continue;
        }
        if !end {
            return Action::Pause;
        }
        self.set_http_request_body(0, 0, b"[");
        self.set_http_request_body(size + 1, 0, b"]");
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.add_http_response_header("x-sample", "rust");
        if self.path == "/wrap" {
            self.set_http_response_header("content-length", None);
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if end && self.path == "/wrap" {
            self.set_http_response_body(size, 0, b"!");
        }
        Action::Continue
    }
}
