// What an application has beside the generated code: the clock that a lease is measured by, one who uses a lock, a
// stream, and the details of errors.

using System.Reflection;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using Holdfast.V1;
using Enum = System.Enum;

namespace Polyglot;

/// <summary>A clock that counts suspend, unlike Stopwatch on Linux.</summary>
static class Clock
{
    private const int Boottime = 7;
    private const double Drift = 0.01;

    public static TimeSpan Now()
    {
        ClockGettime(Boottime, out var time);
        return TimeSpan.FromSeconds(time.Seconds) + TimeSpan.FromTicks(time.Nanoseconds / 100);
    }

    /// <summary>Until when the holder may rely on the lease.</summary>
    public static TimeSpan Deadline(TimeSpan sent, Lease lease) =>
        sent + lease.ServedIn.ToTimeSpan() * (1 - Drift) + lease.ValidFor.ToTimeSpan();

    private struct Timespec
    {
        public nint Seconds;
        public nint Nanoseconds;
    }

    [DllImport("libc", EntryPoint = "clock_gettime")]
    private static extern int ClockGettime(int clock, out Timespec time);
}

/// <summary>One who uses a resource, with a lease_id of its own.</summary>
sealed class Holder(LockService.LockServiceClient locks, string resource, string name)
{
    /// <summary>Longer than anything takes, so that nothing hangs.</summary>
    public static readonly TimeSpan Bound = TimeSpan.FromSeconds(60);

    public LockService.LockServiceClient Locks => locks;
    public string LeaseId { get; } = RandomNumberGenerator.GetHexString(32, lowercase: true);
    public ulong Token { get; private set; }

    public AcquireRequest Request(int ttlMs, int waitMs = 0, IDictionary<string, string>? metadata = null)
    {
        var request = new AcquireRequest
        {
            Resource = resource, Holder = name, LeaseId = LeaseId, Ttl = Millis(ttlMs), Wait = Millis(waitMs),
        };
        if (metadata != null) request.Metadata.Add(metadata);
        return request;
    }

    /// <summary>The lease, or who holds the lock.</summary>
    public async Task<AcquireResponse> Acquire(
        int ttlMs, int waitMs = 0, IDictionary<string, string>? metadata = null, TimeSpan? within = null)
    {
        var answer = await locks.AcquireAsync(Request(ttlMs, waitMs, metadata), deadline: Until(within ?? Bound));
        // Of several answers the highest counts.
        if (answer.Lease != null) Token = Math.Max(Token, answer.Lease.FencingToken);
        return answer;
    }

    public ExtendRequest Renewal(int ttlMs) =>
        new() { Resource = resource, LeaseId = LeaseId, FencingToken = Token, Ttl = Millis(ttlMs) };

    public async Task<Lease> Extend(int ttlMs, IDictionary<string, string>? metadata = null, bool clear = false)
    {
        var request = Renewal(ttlMs);
        request.ClearMetadata = clear;
        if (metadata != null) request.Metadata.Add(metadata);
        return (await locks.ExtendAsync(request, deadline: Until(Bound))).Lease;
    }

    public async Task<string> Release(ulong? token = null)
    {
        var request = new ReleaseRequest { Resource = resource, LeaseId = LeaseId, FencingToken = token ?? Token };
        return Told.Name((await locks.ReleaseAsync(request, deadline: Until(Bound))).Outcome);
    }

    public async Task<CheckFencingTokenResponse> Standing(ulong? token = null)
    {
        var request = new CheckFencingTokenRequest { Resource = resource, FencingToken = token ?? Token };
        return await locks.CheckFencingTokenAsync(request, deadline: Until(Bound));
    }

    public static DateTime Until(TimeSpan within) => DateTime.UtcNow + within;

    public static Duration Millis(int count) => Duration.FromTimeSpan(TimeSpan.FromMilliseconds(count));
}

/// <summary>A Hold stream; to dispose of it is to cancel it.</summary>
sealed class Hold(Holder holder) : IDisposable
{
    private readonly AsyncDuplexStreamingCall<HoldRequest, HoldResponse> call =
        holder.Locks.Hold(deadline: Holder.Until(Holder.Bound));

    /// <summary>When each heartbeat was sent; 0 is the start.</summary>
    public Dictionary<ulong, TimeSpan> Sent { get; } = [];

    public static async Task<Hold> Open(Holder holder, int ttlMs, int waitMs = 0, int graceMs = 0, ulong token = 0)
    {
        var hold = new Hold(holder);
        hold.Sent[0] = Clock.Now();
        var acquire = holder.Request(ttlMs, waitMs);
        var start = new HoldStart { Acquire = acquire, FencingToken = token, Grace = Holder.Millis(graceMs) };
        await hold.Say(new HoldRequest { Start = start });
        return hold;
    }

    public Task Say(HoldRequest message) => call.RequestStream.WriteAsync(message);

    public Task Beat(ulong sequence)
    {
        Sent[sequence] = Clock.Now();
        return Say(new HoldRequest { Heartbeat = new HoldHeartbeat { Sequence = sequence } });
    }

    public async Task<HoldResponse> Next()
    {
        if (!await call.ResponseStream.MoveNext()) throw new EndOfStreamException();
        return call.ResponseStream.Current;
    }

    /// <summary>Reads until an event of that kind comes.</summary>
    public async Task<HoldResponse> Expect(HoldResponse.EventOneofCase wanted)
    {
        var response = await Next();
        while (response.EventCase != wanted) response = await Next();
        return response;
    }

    /// <summary>How the stream ends, after its last message.</summary>
    public async Task<string> Status()
    {
        while (await call.ResponseStream.MoveNext()) { }
        return Told.Code(call.GetStatus().StatusCode);
    }

    public void Dispose() => call.Dispose();
}

/// <summary>How what was seen is told.</summary>
static class Told
{
    /// <summary>The name that the contract has for it.</summary>
    public static string Name<T>(T value) where T : struct, Enum =>
        typeof(T).GetField(value.ToString())!.GetCustomAttribute<OriginalNameAttribute>()!.Name;

    public static string Code(StatusCode code) =>
        Regex.Replace(code.ToString(), "(?<=[a-z])(?=[A-Z])", "_").ToUpperInvariant();

    /// <summary>One of the details of an error.</summary>
    public static T Detail<T>(RpcException error) where T : class, IMessage<T>, new() =>
        error.GetRpcStatus()?.GetDetail<T>() ?? throw new InvalidDataException($"no {typeof(T)} came with {error}");

    public static Dictionary<string, string?> Error(RpcException error)
    {
        var info = Detail<ErrorInfo>(error);
        var told = new Dictionary<string, string?>
        {
            ["code"] = Code(error.StatusCode),
            ["reason"] = info.Reason,
            ["trailer"] = error.Trailers.GetValue("holdfast-reason"),
        };
        if (info.Metadata.TryGetValue("lost_reason", out var why)) told["lost_reason"] = why;
        return told;
    }

    /// <summary>The error that a call ends with.</summary>
    public static async Task<RpcException> Failure(Task call)
    {
        try
        {
            await call;
        }
        catch (RpcException error)
        {
            return error;
        }
        throw new InvalidOperationException("it worked");
    }

    /// <summary>A state of a watch.</summary>
    public static object State(WatchLeaderResponse response)
    {
        string reason = Name(response.Reason);
        return response.StateCase switch
        {
            WatchLeaderResponse.StateOneofCase.Leader => new
            {
                state = "leader",
                reason,
                token = response.Leader.FencingToken.ToString(),
                holder = response.Leader.Holder,
                metadata = response.Leader.Metadata,
            },
            WatchLeaderResponse.StateOneofCase.Vacant => new
            {
                state = "vacant", reason, token = response.Vacant.LastFencingToken.ToString(),
            },
            _ => new { state = "unknown", reason, why = Name(response.Unknown.Reason) },
        };
    }
}
