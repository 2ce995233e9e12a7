#include "cli/run_sidecar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "cli/capture_file.h"
#include "cli/network_options.h"
#include "cli/run_attach.h"
#include "cli/run_network.h"
#include "cli/run_process.h"
#include "cli/sidecar_args.h"
#include "cli/sidecar_options.h"
#include "cli/sidecar_program.h"
#include "cli/sidecar_report.h"
#include "vm/qemu_process.h"
#include "vm/seed_documents.h"
#include "vm/vm_directory.h"
#include "vm/vm_home.h"

#define REPORT_WAIT_MS (30 * 1000) /* it may wait for another's lock */
#define END_WAIT_S     5
/* QEMU's end ends it, too, and may be seen later: the loop stops with it. */
#define LOST_WAIT_NS NS_PER_S

/* --- what it inherits ---------------------------------------------------------------------------- */

/* All closed in our process once it is started. */
struct inputs {
	int vm_fd;
	int report_fd; /* ours, to be read */
	int report_end;
	struct capture_file capture;
	struct seed_documents documents;
	int document_fds[SEED_DOCUMENT_COUNT];
	size_t document_count;
};

static void inputs_init(struct inputs *inputs)
{
	*inputs =
		(struct inputs){ .vm_fd = -1, .report_fd = -1, .report_end = -1, .capture.fd = -1 };
}

static void inputs_done(struct inputs *inputs)
{
	inputs->vm_fd = fd_close(inputs->vm_fd);
	inputs->report_fd = fd_close(inputs->report_fd);
	inputs->report_end = fd_close(inputs->report_end);
	capture_file_close(&inputs->capture);
	for (size_t i = 0; i < inputs->document_count; i++)
		fd_close(inputs->document_fds[i]);
	inputs->document_count = 0;
	seed_documents_done(&inputs->documents);
}

static int open_vm(struct run_sidecar *sidecar, enum net_attach attach, struct inputs *inputs,
		   struct error *err)
{
	int fds[2];

	if (attach == NET_ATTACH_VHOST_USER)
		return net_attach_listen(sidecar->directory->fd, RUN_ATTACH_SOCKET_NAME,
					 &inputs->vm_fd, err);
	int r = qemu_process_socket_pair(fds);
	if (r < 0) {
		error_set(err, "cannot make the network's socket: %s", strerror(-r));
		return r;
	}
	inputs->vm_fd = fds[0];
	sidecar->qemu_fd = fds[1];
	return 0;
}

static int open_document(const struct seed_document *document)
{
	autoclose int fd = memfd_create("document", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (pwrite(fd, document->text, document->size, 0) != (ssize_t)document->size)
		return -EIO;
	return fd_take(&fd);
}

static int open_documents(const struct run_network_request *request, const char *hostname,
			  struct inputs *inputs, struct error *err)
{
	if (!request->seed)
		return 0;
	int r = seed_documents_build(request->seed, hostname, &inputs->documents);
	for (size_t i = 0; r == 0 && i < SEED_DOCUMENT_COUNT; i++) {
		int fd = open_document(&inputs->documents.items[i]);
		if (fd < 0)
			r = fd;
		else
			inputs->document_fds[inputs->document_count++] = fd;
	}
	if (r < 0)
		error_set(err, "cannot keep the VM's seed in memory: %s", strerror(-r));
	return r;
}

static int open_report(struct inputs *inputs, struct error *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0) {
		int r = -errno;
		error_set(err, "cannot make a pipe: %s", strerror(-r));
		return r;
	}
	inputs->report_fd = ends[0];
	inputs->report_end = ends[1];
	return 0;
}

/* --- the start ------------------------------------------------------------------------------------ */

static int find_program(char path[PATH_MAX], struct error *err)
{
	char own_path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", own_path, sizeof(own_path) - 1);

	own_path[length > 0 ? length : 0] = '\0';
	return sidecar_program_find(length > 0 ? own_path : NULL, getenv("PATH"), path, err);
}

/* Standard error is on the terminal, and softnet in another process group than the terminal's: where those may not
 * write (stty tostop), a warning would stop it for good. */
static int ignore_terminal(const void *context)
{
	(void)context;
	return signal(SIGTTOU, SIG_IGN) == SIG_ERR ? -errno : 0;
}

static int spawn(struct run_sidecar *sidecar, const struct run_sidecar_request *request,
		 const struct inputs *inputs, char *const *argv, struct error *err)
{
	int inherited[4 + SEED_DOCUMENT_COUNT];
	size_t count = 0;
	pid_t pid;

	inherited[count++] = inputs->vm_fd;
	inherited[count++] = inputs->report_end;
	if (request->options->has_control)
		inherited[count++] = request->options->control_fd;
	if (inputs->capture.fd >= 0)
		inherited[count++] = inputs->capture.fd;
	for (size_t i = 0; i < inputs->document_count; i++)
		inherited[count++] = inputs->document_fds[i];
	const struct qemu_spawn spawn = {
		.what = "softnet",
		.argv = argv,
		.directory_fd = sidecar->directory->fd,
		.log_fd = STDERR_FILENO,
		.inherited = inherited,
		.inherited_count = count,
		.signal_mask = request->signal_mask,
		.confine = ignore_terminal,
	};
	int r = qemu_process_start(&spawn, &pid, err);
	if (r < 0)
		return r;
	sidecar->pid = pid;
	sidecar->pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (sidecar->pid_fd < 0) {
		r = -errno;
		sidecar->pid_fd = -1;
		error_set(err, "cannot watch softnet: %s", strerror(-r));
	}
	return r;
}

static int start(struct run_sidecar *sidecar, const struct run_sidecar_request *request,
		 struct inputs *inputs, struct error *err)
{
	const struct run_network_request *network = request->network;
	autofree char *state_directory = NULL;
	char hostname_text[VM_HOSTNAME_SIZE];
	char program[PATH_MAX];
	struct vm_home_settings settings;
	struct sidecar_args args;
	const char *hostname = run_network_hostname(network, hostname_text);

	int r = find_program(program, err);
	if (r == 0)
		r = vm_home_state_directory(network->home, &state_directory, err);
	if (r == 0)
		r = vm_home_load_settings(network->home, &settings, err);
	if (r == 0)
		r = open_report(inputs, err);
	if (r == 0)
		r = capture_file_open(&inputs->capture, network->options->capture_path, err);
	if (r == 0)
		r = open_documents(network, hostname, inputs, err);
	if (r == 0)
		r = open_vm(sidecar, request->attach, inputs, err);
	if (r < 0)
		return r;
	struct sidecar_command command = {
		.program = program,
		.options = request->options,
		.network = network->options,
		.vm_fd = inputs->vm_fd,
		.attach = request->attach,
		.mac = network->mac,
		.label = network->label,
		.assignment = network->name,
		.state_directory = state_directory,
		.hostname = hostname,
		.subnet = run_network_wanted_subnet(network),
		.expose_address = settings.expose_address,
		.report_fd = inputs->report_end,
		.capture_fd = inputs->capture.fd,
		.document_count = inputs->document_count,
	};
	for (size_t i = 0; i < inputs->document_count; i++)
		command.documents[i] = (struct sidecar_document){ inputs->documents.items[i].path,
								  inputs->document_fds[i] };
	if (sidecar_args_build(&command, &args) < 0) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	r = spawn(sidecar, request, inputs, args.argv, err);
	sidecar_args_done(&args);
	return r;
}

static int reap(struct run_sidecar *sidecar)
{
	int status = LOOP_CHILD_STATUS_LOST;

	while (waitpid(sidecar->pid, &status, 0) < 0 && errno == EINTR)
		;
	sidecar->pid = 0;
	return status;
}

/* Why is on standard error, if it could say it. */
static int explain_end(struct run_sidecar *sidecar, struct error *err)
{
	char end[QEMU_END_TEXT_SIZE];

	if (!run_process_wait_end(sidecar->pid_fd, END_WAIT_S))
		kill(sidecar->pid, SIGKILL); /* not reaped, so the number is still its own */
	error_set(err, "softnet ended with %s before there was a network",
		  qemu_process_end_text(reap(sidecar), end));
	return -EIO;
}

static int await_network(struct run_sidecar *sidecar, const struct run_sidecar_request *request,
			 struct inputs *inputs, struct run_network *network, struct error *err)
{
	struct sidecar_report report;

	int r = sidecar_report_read(inputs->report_fd, request->stop_fd, REPORT_WAIT_MS, &report,
				    err);
	if (r == -EPIPE)
		return explain_end(sidecar, err);
	if (r < 0)
		return r;
	network->subnet = report.subnet;
	network->address = report.address;
	network->gateway = report.gateway;
	network->forwards = report.forwards;
	return capture_file_keep(&inputs->capture, err);
}

void run_sidecar_init(struct run_sidecar *sidecar)
{
	*sidecar = (struct run_sidecar){ .pid_fd = -1, .qemu_fd = -1 };
}

int run_sidecar_start(struct run_sidecar *sidecar, const struct run_sidecar_request *request,
		      struct run_network *ret_network, struct error *err)
{
	struct inputs inputs;

	sidecar->directory = request->directory;
	inputs_init(&inputs);
	int r = start(sidecar, request, &inputs, err);
	/* Its ends are its own: what it closes is closed. */
	inputs.vm_fd = fd_close(inputs.vm_fd);
	inputs.report_end = fd_close(inputs.report_end);
	if (request->options->has_control)
		fd_close(request->options->control_fd);
	if (r == 0)
		r = await_network(sidecar, request, &inputs, ret_network, err);
	inputs_done(&inputs);
	return r;
}

/* --- watched -------------------------------------------------------------------------------------- */

static void lost_timer_expired(struct timer *timer, uint64_t now_ns)
{
	struct run_sidecar *sidecar = container_of(timer, struct run_sidecar, lost_timer);

	(void)now_ns;
	sidecar->lost(sidecar->context);
}

static void child_ended(struct loop_child *child, int wait_status)
{
	struct run_sidecar *sidecar = container_of(child, struct run_sidecar, child);

	sidecar->pid = 0;
	if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0)
		timer_set(loop_timers(sidecar->loop), &sidecar->lost_timer,
			  loop_now(sidecar->loop) + LOST_WAIT_NS);
	else
		sidecar->lost(sidecar->context);
}

int run_sidecar_watch(struct run_sidecar *sidecar, struct loop *loop, void (*lost)(void *context),
		      void *context, int *ret_fd, struct error *err)
{
	timer_init(&sidecar->lost_timer, lost_timer_expired);
	sidecar->lost = lost;
	sidecar->context = context;
	int r = loop_child_open(&sidecar->child, loop, sidecar->pid, child_ended);
	if (r < 0) {
		error_set(err, "cannot watch softnet: %s", strerror(-r));
		return r;
	}
	sidecar->loop = loop;
	*ret_fd = fd_take(&sidecar->qemu_fd);
	return 0;
}

void run_sidecar_unwatch(struct run_sidecar *sidecar)
{
	if (!sidecar->loop)
		return;
	timer_clear(loop_timers(sidecar->loop), &sidecar->lost_timer);
	loop_child_close(&sidecar->child);
	sidecar->loop = NULL;
}

void run_sidecar_end(struct run_sidecar *sidecar)
{
	if (sidecar->pid != 0) {
		int r = run_process_signal(sidecar->pid_fd, SIGINT);
		if (r == 0 && !run_process_wait_end(sidecar->pid_fd, END_WAIT_S))
			r = run_process_signal(sidecar->pid_fd, SIGKILL);
		if (r < 0 && r != -ESRCH)
			kill(sidecar->pid,
			     SIGKILL); /* not reaped, so the number is still its own */
		(void)reap(sidecar);
	}
	sidecar->pid_fd = fd_close(sidecar->pid_fd);
	sidecar->qemu_fd = fd_close(sidecar->qemu_fd);
	if (sidecar->directory)
		(void)unlinkat(sidecar->directory->fd, RUN_ATTACH_SOCKET_NAME,
			       0); /* mostly there is none */
	sidecar->directory = NULL;
}
