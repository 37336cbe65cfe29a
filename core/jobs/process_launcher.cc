#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "core/base/status.h"
#include "core/jobs/worker_supervisor.h"

extern char** environ;

namespace gwq {
namespace {

// A pipe end that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { Reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&&) = delete;
  void Reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

std::string HowItEnded(int status) {
  if (WIFSIGNALED(status)) {
    return fmt::format("killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  }
  return fmt::format("exit status {}", WEXITSTATUS(status));
}

class SpawnedProcess final : public WorkerProcess {
 public:
  SpawnedProcess(pid_t pid, Descriptor pidfd, Descriptor lifeline)
      : pid_(pid), pidfd_(std::move(pidfd)), lifeline_(std::move(lifeline)) {}
  ~SpawnedProcess() override {
    if (reaped_) return;
    kill(-pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }

  bool Ended(std::string& how) override {
    pollfd ready{pidfd_.get(), POLLIN, 0};
    if (reaped_ || poll(&ready, 1, 0) != 1) return false;
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
    reaped_ = true;
    kill(-pid_, SIGKILL);  // what it may have left behind in its group
    how = HowItEnded(status);
    return true;
  }
  void CloseLifeline() override { lifeline_.Reset(); }
  void Kill() override {
    if (!reaped_) kill(-pid_, SIGKILL);
  }

 private:
  const pid_t pid_;
  const Descriptor pidfd_;
  Descriptor lifeline_;
  bool reaped_ = false;
};

class SpawnLauncher final : public ProcessLauncher {
 public:
  using Arguments = std::function<std::vector<std::string>(const DeviceSlot&, const std::string&, int)>;
  SpawnLauncher(Arguments arguments, std::vector<std::string> environment)
      : arguments_(std::move(arguments)), environment_(std::move(environment)) {}

  absl::StatusOr<std::unique_ptr<WorkerProcess>> Launch(const DeviceSlot& slot, const std::string& worker) override {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe2");
    const Descriptor child_end(ends[0]);
    Descriptor our_end(ends[1]);
    std::vector<std::string> arguments = arguments_(slot, worker, kLifelineInChild);
    std::vector<std::string> environment = environment_;
    for (char** entry = environ; *entry != nullptr; ++entry) {
      if (!std::string_view(*entry).starts_with(kSettingsPrefix)) environment.emplace_back(*entry);
    }
    pid_t pid = 0;
    const int error = Spawn(arguments, environment, child_end.get(), pid);
    if (error != 0) return absl::ErrnoToStatus(error, fmt::format("cannot start '{}'", arguments[0]));
    Descriptor pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    return std::make_unique<SpawnedProcess>(pid, std::move(pidfd), std::move(our_end));
  }

 private:
  static constexpr int kLifelineInChild = 3;
  // Settings of this service, its configuration file among them, mean nothing to a worker or something else.
  static constexpr std::string_view kSettingsPrefix = "GWQ_";

  static std::vector<char*> Pointers(std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (std::string& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
  }

  // Every descriptor of ours is close-on-exec; dup2 onto its own number would keep that flag, and does clear it here
  // because glibc special-cases it.
  static int Spawn(std::vector<std::string>& arguments, std::vector<std::string>& environment, int lifeline,
                   pid_t& pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, lifeline, kLifelineInChild);
    posix_spawn_file_actions_addclosefrom_np(&actions, kLifelineInChild + 1);
    sigset_t none, standard;
    sigemptyset(&none);
    sigemptyset(&standard);
    sigaddset(&standard, SIGPIPE);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &standard);
    const int error = posix_spawn(&pid, arguments[0].c_str(), &actions, &attributes, Pointers(arguments).data(),
                                  Pointers(environment).data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
  }

  const Arguments arguments_;
  const std::vector<std::string> environment_;
};

}  // namespace

std::unique_ptr<ProcessLauncher> MakeProcessLauncher(
    std::function<std::vector<std::string>(const DeviceSlot& slot, const std::string& worker, int lifeline)> arguments,
    std::vector<std::string> environment) {
  return std::make_unique<SpawnLauncher>(std::move(arguments), std::move(environment));
}

}  // namespace gwq
