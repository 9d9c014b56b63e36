#!/bin/sh
# The guest's first process: mounts, waits for the drives, runs the task, says how it ended on
# two virtio ports that carry nothing but the task's output, and powers off.
# Its own messages go to the console, which is the kernel log's.

export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
. /ersatz/settings
export TERM
cd /root

mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/shm /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
hostname guest
ip link set lo up

# Everything that may have to be waited for appears within ten seconds of its beginning, or never.
begin() {
    read -r uptime _ </proc/uptime
    limit=$((${uptime%.*} + 10))
}
too_late() {
    read -r uptime _ </proc/uptime
    [ "${uptime%.*}" -ge "$limit" ]
}

# True when the kernel has a controller for the PCI device $1 and has made the nodes of all
# namespaces that the controller lists.
drive_is_ready() {
    for controller in "$1"/nvme/nvme*; do
        [ -e "$controller/state" ] || return 1
        read -r state <"$controller/state"
        [ "$state" = live ] || return 1
        listed=$(nvme list-ns "/dev/${controller##*/}" | grep -c 0x)
        set -- "/dev/ng${controller##*/nvme}n"*
        [ "$listed" = 0 ] || { [ -e "$1" ] && [ $# -ge "$listed" ]; } || return 1
    done
}

# True when the node of each namespace of the PCI device $1 has the namespace's identifier in its
# name, as everybody expects. The kernel looks at namespaces in parallel and numbers their nodes
# in the order in which it gets done.
nodes_are_in_order() {
    for identifier in "$1"/nvme/nvme*/nvme*n*/nsid; do
        [ -e "$identifier" ] || continue
        namespace=${identifier%/nsid}
        read -r nsid <"$identifier"
        [ "${namespace##*n}" = "$nsid" ] || return 1
    done
}

# Lets the kernel find the PCI device $1 anew.
probe_again() {
    echo "${1##*/}" >/sys/bus/pci/drivers/nvme/unbind
    echo "${1##*/}" >/sys/bus/pci/drivers/nvme/bind
}

for class in /sys/bus/pci/devices/*/class; do
    read -r code <"$class"
    [ "$code" = 0x010802 ] || continue
    device=${class%/class}
    for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        begin
        until drive_is_ready "$device"; do
            if too_late; then
                echo "ersatz: the drive at $device is not ready" >/dev/kmsg
                break 2
            fi
            usleep 20000
        done
        ! nodes_are_in_order "$device" || break
        probe_again "$device"
    done
done

begin
# Without the ports there is nobody to talk to: the kernel panics, which the host sees.
until [ -c /dev/vport0p1 ] && [ -c /dev/vport0p2 ]; do
    ! too_late || exit 1
    usleep 20000
done

# A port can be opened only once, so the task gets pipes: `> /dev/stderr` has to work. Opened for
# both directions, they never end, whatever the task leaves running.
mkfifo /ersatz/out /ersatz/err
exec 3<>/dev/vport0p1 4<>/dev/vport0p2 5<>/ersatz/out 6<>/ersatz/err
cat <&5 >&3 &
cat <&6 >&4 &

if [ "$TASK" = shell ]; then
    # The size is set by the shell's own session: a terminal that nobody has open forgets it.
    export ROWS COLUMNS
    setsid -c sh -c 'stty rows "$ROWS" cols "$COLUMNS"; unset ROWS COLUMNS; exec sh -l' \
        </dev/hvc0 >/dev/hvc0 2>&1 3<&- 4<&- 5<&- 6<&-
else
    sh /ersatz/task </dev/null >/ersatz/out 2>/ersatz/err 3<&- 4<&- 5<&- 6<&-
fi
status=$?

# In one write each, after all that the task has written; then the host says that it has read
# everything.
printf '%s%03d' "$END" "$status" >&6
printf '%s%03d' "$END" "$status" >&5
read -r _ <&3

kill -KILL -1
while read -r device folder _; do
    case $device in /dev/nvme*) umount "$folder" ;; esac
done </proc/mounts
poweroff -f
