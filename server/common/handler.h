// The three shapes of an RPC handler on gRPC's callback API, and what starts one. One class per RPC derives from a
// shape with the state of its service; the service derives from CallStarter (docs/how-to/add-an-rpc.md):
//
//   class GetJobHandler final : public WithState<JobsState&, BlockingHandler<v1::GetJobRequest, v1::Job>> {
//    public:
//     using WithState::WithState;
//    private:
//     absl::Status Run() override { ... request() ... response() ... state_ ... }
//   };
//   grpc::ServerUnaryReactor* JobService::GetJob(grpc::CallbackServerContext* context, const v1::GetJobRequest*
//   request,
//                                                v1::Job* response) {
//     return Start<GetJobHandler>("JobService/GetJob", context, request, response);
//   }
//
// Reactions only post tasks and start writes. The work runs on the environment's executor, or on another thread that
// the handler chooses, and ends with one End.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <deque>
#include <memory>
#include <type_traits>
#include <utility>

#include "server/common/call.h"

namespace gwq {

// One request and one response, which End sends if its status is OK. Derived classes override Start and may call End
// later, from any thread that holds a shared_ptr to the call.
template <class Request, class Response>
class UnaryHandler : public grpc::ServerUnaryReactor, public Call {
 public:
  UnaryHandler(const CallEnvironment& environment, std::string_view method, grpc::CallbackServerContext* context,
               const Request* request, Response* response)
      : Call(environment, method, context), request_(request), response_(response) {}

 protected:
  [[nodiscard]] const Request& request() const { return *request_; }
  [[nodiscard]] Response& response() const { return *response_; }

 private:
  void FinishReactor(const grpc::Status& status) final { grpc::ServerUnaryReactor::Finish(status); }
  void OnCancel() final { HandleCancel(); }
  void OnDone() final { HandleDone(); }

  const Request* const request_;
  Response* const response_;
};

// A unary handler whose whole work is one blocking function on the executor.
template <class Request, class Response>
class BlockingHandler : public UnaryHandler<Request, Response> {
 public:
  using UnaryHandler<Request, Response>::UnaryHandler;

 protected:
  [[nodiscard]] virtual absl::Status Run() = 0;

 private:
  void Start() final { this->End(Run()); }
  // The work is not interrupted: the call ends when the work ends.
  void Cancelled() final {}
};

// One request, a stream of responses. Messages are queued by Send and written one at a time. A producer must bound
// the queue: it sends a few messages in Open and in each Drained (pull), or it looks at queued() (push).
template <class Request, class Response>
class ServerStreamHandler : public grpc::ServerWriteReactor<Response>, public Call {
 public:
  ServerStreamHandler(const CallEnvironment& environment, std::string_view method, grpc::CallbackServerContext* context,
                      const Request* request)
      : Call(environment, method, context), request_(request) {}

  // Queues a message; false once the call has ended or is broken. Thread-safe; messages are written in the order of
  // Send.
  bool Send(Response message) {
    // Before the look at the end: a call that ended in between would be finished, and its reactor gone, when the write
    // starts. Held until the chain of writes that this message starts or joins is through.
    Hold();
    if (ended() || cancelled()) {
      Release();
      return false;
    }
    bool first;
    const Response* front;
    {
      MutexLock lock(mutex_);
      queue_.push_back(std::move(message));
      sent_ = true;
      first = queue_.size() == 1;
      front = &queue_.front();
    }
    first ? this->StartWrite(front) : Release();
    return true;
  }
  [[nodiscard]] size_t queued() const {
    MutexLock lock(mutex_);
    return queue_.size();
  }

 protected:
  [[nodiscard]] const Request& request() const { return *request_; }
  // Starts the work. Called once, on the executor.
  virtual void Open() = 0;
  // Everything that was sent has been written. On the executor, and never at the same time as Open or another Drained.
  virtual void Drained() {}

 private:
  void Start() final { Produce(/*first=*/true); }
  void Produce(bool first) {
    for (;; first = false) {
      first ? Open() : Drained();
      MutexLock lock(mutex_);
      if (!sent_ || !queue_.empty()) {
        producing_ = false;
        return;
      }
      sent_ = false;  // it was written already: nobody else will ask for more
    }
  }
  void OnWriteDone(bool ok) final {
    const Response* next = nullptr;
    bool produce = false;
    {
      MutexLock lock(mutex_);
      queue_.pop_front();
      if (!ok) queue_.clear();
      if (!queue_.empty()) {
        next = &queue_.front();
      } else if (ok && !producing_) {
        produce = producing_ = true;
        sent_ = false;
      }
    }
    if (next != nullptr) return this->StartWrite(next);
    if (!ok) End(absl::CancelledError("the stream broke"));
    if (produce) this->Post([this] { Produce(/*first=*/false); });
    Release();
  }
  void FinishReactor(const grpc::Status& status) final { grpc::ServerWriteReactor<Response>::Finish(status); }
  void OnCancel() final { HandleCancel(); }
  void OnDone() final { HandleDone(); }

  const Request* const request_;
  mutable Mutex mutex_;
  std::deque<Response> queue_ ABSL_GUARDED_BY(mutex_);
  bool producing_ ABSL_GUARDED_BY(mutex_) = true;  // Open or Drained runs or is posted
  bool sent_ ABSL_GUARDED_BY(mutex_) = false;      // since they last looked
};

// A stream of requests and one response. The next message is read only after Message has returned.
template <class Request, class Response>
class ClientStreamHandler : public grpc::ServerReadReactor<Request>, public Call {
 public:
  ClientStreamHandler(const CallEnvironment& environment, std::string_view method, grpc::CallbackServerContext* context,
                      Response* response)
      : Call(environment, method, context), response_(response) {}

 protected:
  [[nodiscard]] Response& response() const { return *response_; }
  // On the executor, one at a time.
  virtual void Message(Request& message) = 0;
  // The client has sent all its messages. On the executor; must end the call.
  virtual void Closed() = 0;

 private:
  void Start() final { this->StartRead(&message_); }
  void OnReadDone(bool ok) final {
    if (ended()) return;
    this->Post([this, ok] {
      if (!ok) return Closed();
      Message(message_);
      if (!ended()) this->StartRead(&message_);
    });
  }
  void FinishReactor(const grpc::Status& status) final { grpc::ServerReadReactor<Request>::Finish(status); }
  void OnCancel() final { HandleCancel(); }
  void OnDone() final { HandleDone(); }

  Response* const response_;
  Request message_;
};

// A shape with what the handlers of its service share. `State` is a reference to it, or a type that is copied.
template <class State, class Shape>
class WithState : public Shape {
 public:
  template <class... Messages>
  WithState(std::add_lvalue_reference_t<State> state, const CallEnvironment& environment, std::string_view method,
            grpc::CallbackServerContext* context, Messages*... messages)
      : Shape(environment, method, context, messages...), state_(state) {}

 protected:
  State state_;
};

// Makes the handler and begins the call. Returns the reactor for gRPC.
template <class Handler, class... Arguments>
[[nodiscard]] Handler* StartCall(Arguments&&... arguments) {
  auto handler = std::make_shared<Handler>(std::forward<Arguments>(arguments)...);
  Handler* const raw = handler.get();
  raw->Begin();
  return raw;
}

// Starts the handlers of a service: a base of it.
template <class State>
class CallStarter {
 protected:
  CallStarter(const CallEnvironment& environment, std::add_lvalue_reference_t<State> state)
      : environment_(environment), state_(state) {}

  // `messages`: the request, the response or both, as gRPC gives them.
  template <class Handler, class... Messages>
  [[nodiscard]] Handler* Start(std::string_view method, grpc::CallbackServerContext* context, Messages*... messages) {
    return StartOn<Handler>(environment_, method, context, messages...);
  }
  // On other threads than the service's own.
  template <class Handler, class... Messages>
  [[nodiscard]] Handler* StartOn(const CallEnvironment& environment, std::string_view method,
                                 grpc::CallbackServerContext* context, Messages*... messages) {
    return StartCall<Handler>(state_, environment, method, context, messages...);
  }

 private:
  const CallEnvironment environment_;
  State state_;
};

}  // namespace gwq
