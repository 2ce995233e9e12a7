#include "cli/run_shares.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/dir_spec.h"

/* In the VM's directory, one each. */
static const char *const socket_names[SHARE_MOST] = {
	"dir0.sock", "dir1.sock", "dir2.sock", "dir3.sock",
	"dir4.sock", "dir5.sock", "dir6.sock", "dir7.sock",
};

static int check_directory(const struct dir_spec *spec, struct error *err)
{
	struct stat status;
	int r = stat(spec->path, &status) < 0 ? -errno : 0;

	if (r == 0 && !S_ISDIR(status.st_mode))
		r = -ENOTDIR;
	if (r == 0 && access(spec->path, R_OK | X_OK) < 0)
		r = -errno;
	if (r < 0) {
		error_set(err, "cannot share %s: %s", spec->path,
			  r == -ENOTDIR ? "it is not a directory" : strerror(-r));
		return r;
	}
	if (!spec->read_only && access(spec->path, W_OK) < 0) {
		r = -errno;
		error_set(err, "cannot share %s for writing: %s (with :ro it is only read)",
			  spec->path, strerror(-r));
	}
	return r;
}

static int open_one(const struct dir_spec *spec, struct share *ret_share, char **ret_path,
		    struct error *err)
{
	int r = check_directory(spec, err);
	if (r < 0)
		return r;
	/* QEMU and the daemon run in another directory. */
	char *path = realpath(spec->path, NULL);
	if (!path) {
		r = -errno;
		error_set(err, "cannot share %s: %s", spec->path, strerror(-r));
		return r;
	}
	*ret_path = path;
	*ret_share = (struct share){
		.path = path,
		.tag = spec->tag,
		.read_only = spec->read_only,
	};
	return 0;
}

int run_shares_open(const struct dir_spec *specs, size_t count, struct run_shares *ret_shares,
		    struct error *err)
{
	struct run_shares shares = { .count = 0 };

	for (; shares.count < count; shares.count++) {
		size_t i = shares.count;
		int r = open_one(&specs[i], &shares.shares[i], &shares.paths[i], err);
		if (r < 0) {
			run_shares_done(&shares);
			return r;
		}
		shares.shares[i].socket_name = socket_names[i];
	}
	*ret_shares = shares;
	return 0;
}

/* Can virtiofs run, for all of them? */
static int find_daemon(struct run_shares *shares, const struct qemu_query_wait *wait,
		       struct error *err)
{
	int r = share_daemon_find(wait, &shares->daemon, err);

	for (size_t i = 0; r == 0 && i < shares->count; i++) {
		struct share_confinement confinement;
		share_confinement_init(&confinement, shares->shares[i].path,
				       shares->shares[i].read_only);
		r = share_confinement_try(&confinement);
		if (r < 0)
			error_set(err, "virtiofsd cannot be confined to %s: %s",
				  shares->shares[i].path, strerror(-r));
	}
	return r;
}

int run_shares_choose(struct run_shares *shares, enum share_transport wish,
		      const struct qemu_query_wait *wait, struct error *err)
{
	enum share_transport chosen = wish == SHARE_AUTO ? SHARE_VIRTIOFS : wish;

	error_set(err, "%s", "");
	if (shares->count > 0 && chosen == SHARE_VIRTIOFS) {
		int r = find_daemon(shares, wait, err);
		if (r == -ECANCELED)
			return r;
		if (r < 0 && wish == SHARE_VIRTIOFS) {
			error_prefix(err, "directories cannot be shared by virtiofs");
			return r;
		}
		if (r < 0) {
			error_prefix(err, "sharing directories by 9p instead of virtiofs");
			chosen = SHARE_9P;
		}
	}
	for (size_t i = 0; i < shares->count; i++)
		shares->shares[i].transport = chosen;
	return 0;
}

void run_shares_print(const struct run_shares *shares, FILE *stream)
{
	for (size_t i = 0; i < shares->count; i++) {
		char command[SHARE_MOUNT_SIZE];
		fprintf(stream, "directory: %s, in the guest: %s\n", shares->shares[i].tag,
			share_mount_command(&shares->shares[i], command));
	}
}

void run_shares_done(struct run_shares *shares)
{
	for (size_t i = 0; i < SHARE_MOST; i++)
		free(shares->paths[i]);
	*shares = (struct run_shares){ .count = 0 };
}
