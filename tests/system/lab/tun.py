"""/dev/net/tun as other machines have it, for one program: this machine's own is never changed."""

# In a mount namespace of its own, a node of that mode (as most distributions have it: 0666) lies over
# the real one; or the folder is empty.
WITH_NODE = ("mount -t tmpfs none /mnt && mknod -m {mode} /mnt/tun c 10 200 && "
             "mount --bind /mnt/tun /dev/net/tun && umount -l /mnt && exec \"$@\"")
WITHOUT = "mount -t tmpfs none /dev/net && exec \"$@\""


def with_mode(mode):
    return ["unshare", "-m", "sh", "-c", WITH_NODE.format(mode=mode), "sh"]


def missing():
    return ["unshare", "-m", "sh", "-c", WITHOUT, "sh"]
