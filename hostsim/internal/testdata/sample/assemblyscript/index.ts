// The sample filter in AssemblyScript, on the SDK @solo-io/proxy-runtime;
// README.md beside it says what the filter does.
export * from "@solo-io/proxy-runtime/proxy";
import {
  BaseContext, BufferTypeValues, Context, Counter, FilterDataStatusValues, FilterHeadersStatusValues, Gauge,
  GrpcStatusValues, HeaderPair, HeaderMapTypeValues, Headers, Histogram, LogLevelValues, RootContext, WasmResultValues,
  get_buffer_bytes, get_header_map_value, get_property, log, proxy_set_effective_context, registerRootContext,
  send_local_response, stream_context,
} from "@solo-io/proxy-runtime/runtime";
import * as host from "@solo-io/proxy-runtime/imports";

// The SDK declares this one under a wrong name.
// @ts-ignore: decorator
@external("env", "proxy_set_buffer_bytes")
declare function proxy_set_buffer_bytes(which: i32, start: u32, length: u32, data: usize, size: usize): u32;

const END: u32 = 0x7fffffff;

function bytes(text: string): ArrayBuffer { return String.UTF8.encode(text); }

function header(name: string, value: string): HeaderPair { return new HeaderPair(bytes(name), bytes(value)); }

function insert(which: BufferTypeValues, at: u32, text: string): void {
  const b = bytes(text);
  proxy_set_buffer_bytes(which, at, 0, changetype<usize>(b), b.byteLength);
}

// Received is where the host writes what it allocated for us. The SDK frees
// such a buffer itself, but its shared data and queue functions mix up their
// arguments, so these go without it.
class Received {
  data: usize;
  size: usize;
  number: u32; // a token, or the cas of shared data

  dataPtr(): usize { return changetype<usize>(this) + offsetof<Received>("data"); }
  sizePtr(): usize { return changetype<usize>(this) + offsetof<Received>("size"); }
  numberPtr(): usize { return changetype<usize>(this) + offsetof<Received>("number"); }

  text(): string {
    return this.size == 0 ? "" : String.UTF8.decodeUnsafe(this.data, this.size);
  }
}

// count adds 1 to the proxy's count of requests.
function count(): i32 {
  const key = bytes("requests");
  while (true) {
    const got = new Received();
    host.proxy_get_shared_data(changetype<usize>(key), key.byteLength, got.dataPtr(), got.sizePtr(), got.numberPtr());
    const n = got.size == 0 ? 1 : I32.parseInt(got.text()) + 1;
    const value = bytes(n.toString());
    const result = host.proxy_set_shared_data(changetype<usize>(key), key.byteLength, changetype<usize>(value), value.byteLength, got.number);
    if (result != WasmResultValues.CasMismatch) return n;
  }
}

class Root extends RootContext {
  vmConfig: string = "";
  queue: u32 = 0;
  waiting: Stream[] = []; // streams that the next tick wakes
  requests: Counter = new Counter("sample.requests");
  active: Gauge = new Gauge("sample.active");
  pathBytes: Histogram = new Histogram("sample.path");

  createContext(id: u32): Context { return new Stream(id, this); }

  onStart(size: usize): bool {
    this.vmConfig = String.UTF8.decode(get_buffer_bytes(BufferTypeValues.VmConfiguration, 0, <u32>size));
    return true;
  }

  onConfigure(size: u32): bool {
    super.onConfigure(size); // reads the configuration, with its size as the pointer where the size goes
    log(LogLevelValues.info, "start vm=" + this.vmConfig + " plugin=" + this.getConfiguration());
    const name = bytes("sample");
    const token = new Received();
    if (host.proxy_register_shared_queue(changetype<usize>(name), name.byteLength, token.numberPtr()) != WasmResultValues.Ok) return false;
    this.queue = token.number;
    return host.proxy_set_tick_period_milliseconds(50) == WasmResultValues.Ok;
  }

  onTick(): void {
    const woken = this.waiting;
    this.waiting = [];
    for (let i = 0; i < woken.length; i++) {
      proxy_set_effective_context(woken[i].context_id);
      stream_context.headers.request.add("x-woken", "tick");
      woken[i].continueRequest();
    }
  }

  onQueueReady(token: u32): void {
    const got = new Received();
    if (host.proxy_dequeue_shared_queue(token, got.dataPtr(), got.sizePtr()) == WasmResultValues.Ok) {
      log(LogLevelValues.info, "queue " + got.text());
    }
  }
}

class Stream extends Context {
  path: string = "";

  constructor(id: u32, root: RootContext) { super(id, root); }

  root(): Root { return this.root_context as Root; }

  onRequestHeaders(n: u32, end: bool): FilterHeadersStatusValues {
    const headers = stream_context.headers.request;
    this.path = headers.get(":path");
    this.root().requests.increment(1);
    this.root().active.increment(1);
    host.proxy_record_metric(this.root().pathBytes.metric_id, this.path.length);
    headers.add("x-count", count().toString());
    if (this.path == "/deny") {
      send_local_response(403, "", bytes("denied\n"), [header("x-reason", "policy")], GrpcStatusValues.InvalidCode);
      return FilterHeadersStatusValues.StopIteration;
    }
    if (this.path == "/ask") return this.ask("backend");
    if (this.path == "/ask-nobody") return this.ask("nobody");
    if (this.path == "/later") {
      this.root().waiting.push(this);
      return FilterHeadersStatusValues.StopIteration;
    }
    if (this.path == "/old") headers.replace(":path", "/new");
    if (this.path == "/wrap") headers.remove("content-length");
    return FilterHeadersStatusValues.Continue;
  }

  ask(cluster: string): FilterHeadersStatusValues {
    const request: Headers = [header(":method", "GET"), header(":path", "/answer"), header(":authority", cluster)];
    const result = this.root().httpCall(cluster, request, new ArrayBuffer(0), [], 300, this,
      (origin: BaseContext, n: u32, size: usize, trailers: u32): void => {
        const status = String.UTF8.decode(get_header_map_value(HeaderMapTypeValues.HttpCallResponseHeaders, bytes(":status")));
        stream_context.headers.request.add("x-asked", status + " " + size.toString());
        origin.continueRequest();
      });
    if (result == WasmResultValues.Ok) return FilterHeadersStatusValues.StopIteration;
    stream_context.headers.request.add("x-asked", "refused");
    return FilterHeadersStatusValues.Continue;
  }

  onRequestBody(size: usize, end: bool): FilterDataStatusValues {
    if (this.path != "/wrap") return FilterDataStatusValues.Continue;
    if (!end) return FilterDataStatusValues.StopIterationAndBuffer;
    insert(BufferTypeValues.HttpRequestBody, 0, "[");
    insert(BufferTypeValues.HttpRequestBody, END, "]");
    return FilterDataStatusValues.Continue;
  }

  onResponseHeaders(n: u32, end: bool): FilterHeadersStatusValues {
    stream_context.headers.response.add("x-sample", "assemblyscript");
    if (this.path == "/wrap") stream_context.headers.response.remove("content-length");
    return FilterHeadersStatusValues.Continue;
  }

  onResponseBody(size: usize, end: bool): FilterDataStatusValues {
    if (end && this.path == "/wrap") insert(BufferTypeValues.HttpResponseBody, END, "!");
    return FilterDataStatusValues.Continue;
  }

  onDone(): bool {
    this.root().active.increment(-1);
    const code = get_property("response\0code");
    const status = code.byteLength == 8 ? load<u64>(changetype<usize>(code)) : 0;
    log(LogLevelValues.info, "done " + this.path + " " + status.toString());
    const path = bytes(this.path);
    host.proxy_enqueue_shared_queue(this.root().queue, changetype<usize>(path), path.byteLength);
    return super.onDone();
  }
}

registerRootContext((id: u32) => { return new Root(id); }, "");
